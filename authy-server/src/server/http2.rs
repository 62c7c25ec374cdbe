//! HTTP/2 on one connection: hyper, its bounds, and when the connection ends.
//!
//! hyper has no time for the first request, nor for idle connections, and none for an answer that its client does not take although
//! it takes others. They are here.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{http1::HEAD_LIMIT_BYTES, shared::Connection};
use crate::{message, stream::IsEventStream};

mod activity;
mod answer;
mod executor;

use activity::Activity;
use answer::{Answer, Progress};
use executor::StreamExecutor;

/// Maximum number of requests of one connection at a time. Browsers open about a hundred.
const MAX_STREAMS: u32 = 128;

/// Bytes of a body that a client may send before they are read: more than the largest body.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;

/// The same of all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one answer that wait for the client beside what the body still has.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Number of streams that a client may reset before they were looked at; then the connection is closed (rapid reset,
/// CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Number of streams that may be reset because of what the client sent; then the connection is closed (CVE-2024-27919 and the like).
const MAX_ERROR_RESETS: usize = 256;

/// Interval of pings, and the maximum time for the answer to one: a client that is gone is noticed.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers the requests of a connection, until it is closed.
pub(super) async fn serve<S>(connection: Connection, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Connection { shared, listener, peer, places, mut shutdown, .. } = connection;
    let config = &shared.config;
    let activity = Arc::new(Activity::default());
    let (answer_timeout, event_timeout) = (config.write_timeout, config.streams.stall);
    let answer = {
        let (activity, places, service) = (activity.clone(), places.clone(), shared.service.clone());
        service_fn(move |request: Request<Incoming>| {
            let (activity, places, service) = (activity.clone(), places.clone(), service.clone());
            async move {
                let (mut head, body) = request.into_parts();
                let is_head = head.method == Method::HEAD;
                message::name_host(&mut head);
                let response = match service.answer_from_memory(listener, peer, &mut head) {
                    Some(response) => response,
                    None => service.answer(listener, peer, head, body).await,
                };
                // HTTP/2 has no header for it: the connection says that it accepts no further request (GOAWAY). Not when the
                // server is about to stop, because a proxy that has a request ready at that moment fails it: until the delay
                // is over, the proxy has noticed it and sends none.
                if places.is_full() {
                    activity.ask_for_end();
                }
                let is_event_stream = response.extensions().get::<IsEventStream>().is_some();
                let timeout = if is_event_stream { event_timeout } else { answer_timeout };
                let response = response.map(|body| Answer::new(body, Progress::of_this_stream(timeout)));
                // Of HTTP/2, hyper sends the body whatever the method was.
                Ok::<Response<Answer>, Infallible>(if is_head { answer::without_body(response) } else { response })
            }
        })
    };
    let mut builder = http2::Builder::new(StreamExecutor::new(activity.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEAD_LIMIT_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut http = pin!(builder.serve_connection(TokioIo::new(stream), answer));

    // As with HTTP/1.1: a client connects when it has something to send, and while others wait for its place an idle
    // connection has no more time than a head.
    let (head_time, idle_time) = (config.header_timeout, config.keep_alive);
    let allowance = |had_request: bool| {
        if had_request && !places.is_full() { idle_time } else { idle_time.min(head_time) }
    };
    let ended = async {
        tokio::select! {
            ended = http.as_mut() => return ended,
            () = shutdown.begun() => {}
            () = activity.end_is_asked_for() => {}
            () = activity.idle_for(head_time, allowance) => {}
        }
        // Requests that are on their way are still answered, and then the connection is closed.
        http.as_mut().graceful_shutdown();
        tokio::select! {
            ended = http => ended,
            // The client does not close, and sends nothing either.
            () = activity.idle_for(head_time, |_| head_time) => Ok(()),
        }
    };
    if let Err(error) = ended.await {
        tracing::debug!(peer = %peer.ip, %error, "a connection ended early");
    }
}
