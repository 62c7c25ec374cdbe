//! Sends the requests to both servers, one at a time.

use std::{pin::pin, time::Duration};

use authy_core::{
    error::chain,
    tls::{Roots, TlsError},
};
use bytes::Bytes;
use http::{
    HeaderValue, Request,
    header::{ACCEPT_ENCODING, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    Sides,
    allow::Rules,
    answer::{Answer, Body},
    base_url::BaseUrl,
    compare::{Difference, compare},
    recording::{RecordedRequest, Recording},
    redact::Redactor,
    report::{Report, Verdict},
    route::{Repetition, Routes},
    tokens::{self, Presented, Tokens},
};
use crate::{cli::progress::ProgressLine, outgoing, start::BoxError};

/// Maximum time for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time for an answer: the first login with an old hash takes about a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of an answer in bytes: a page of a hundred users has about 30 KiB.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// The number of requests in succession that one server does not answer in time, after which it counts as away.
const MAX_TIMEOUTS: u32 = 3;

/// What the users see in their lists of sessions.
const SHADOW_USER_AGENT: &str = concat!("authy/", env!("CARGO_PKG_VERSION"), " (shadow)");

const NO_ANSWER_IN_TIME: &str = "no answer within 10 s";

/// A replay that has not begun.
pub(super) struct Replay {
    pub(super) servers: Sides<BaseUrl>,
    /// Maximum number of requests per second.
    pub(super) rate: u16,
    /// Whether requests are sent that change something.
    pub(super) is_with_writes: bool,
    pub(super) rules: Rules,
}

impl Replay {
    /// Replays the requests, and returns what differed.
    ///
    /// # Errors
    /// When a server cannot be reached, or nothing can be compared.
    pub(super) async fn run(self, recording: Recording, roots: &Roots) -> Result<Report, BoxError> {
        let routes = Routes::new();
        let mut report = Report::new(&self.servers, &recording);
        let repeated = |request: &RecordedRequest| {
            self.is_with_writes || routes.repetition(&request.method, &request.target) != Repetition::Write
        };
        let (requests, writes): (Vec<_>, Vec<_>) = recording.requests.into_iter().partition(repeated);
        report.skipped.writes = writes.len() as u64;
        if requests.is_empty() {
            return Err("no request of the recording can be replayed: none is a GET, a HEAD or a login of authy".into());
        }
        if self.is_with_writes {
            eprintln!("warning: every recorded sign-up, change and deletion happens again, on both servers");
        }
        let servers = Sides {
            old: Server::new("old", self.servers.old.clone(), roots)?,
            new: Server::new("new", self.servers.new.clone(), roots)?,
        };
        let mut pace = interval(Duration::from_secs(1) / u32::from(self.rate.max(1)));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut tokens, mut redactor, mut line) = (Tokens::default(), Redactor::default(), ProgressLine::new());
        let mut timeouts = Sides { old: 0_u32, new: 0_u32 };
        let total = requests.len();
        for (number, request) in requests.iter().enumerate() {
            redactor.learn_request(request);
            let presented = tokens.of(request);
            if let Presented::AsRecorded { is_with_token: true } = presented {
                report.tokens_as_recorded += 1;
            }
            if let Presented::Unknown = presented {
                report.skipped.without_token += 1;
                continue;
            }
            pace.tick().await;
            let (old, new) = match presented {
                Presented::Replaced(Sides { old, new }) => (Some(old), Some(new)),
                _ => (None, None),
            };
            let (old, new) = tokio::join!(servers.old.send(request, old), servers.new.send(request, new));
            let answers = Sides { old: old?, new: new? };
            servers.old.count_timeouts(&answers.old, &mut timeouts.old)?;
            servers.new.count_timeouts(&answers.new, &mut timeouts.new)?;
            redactor.learn_answers(&answers);
            tokens.take(request, &answers);
            let verdict = self.verdict(request, &answers, &redactor);
            report.add(&routes, &redactor, request, verdict);
            line.show(number + 1 == total, |seconds| report.progress(total, seconds));
        }
        line.end();
        report.end(&self.rules);
        Ok(report)
    }

    fn verdict(&self, request: &RecordedRequest, answers: &Sides<Answer>, redactor: &Redactor) -> Verdict {
        let is_limited = |answer: &Answer| answer.status().is_some_and(|status| status.as_u16() == 429);
        if is_limited(&answers.old) != is_limited(&answers.new) {
            return Verdict::RateLimited;
        }
        let found = compare(answers, redactor);
        if found.is_empty() {
            return Verdict::Same;
        }
        let path = request.target.path();
        let is_intended = |difference: &Difference| self.rules.allow(&request.method, path, &difference.what);
        let (_, unintended): (Vec<_>, Vec<_>) = found.into_iter().partition(is_intended);
        match unintended.is_empty() {
            true => Verdict::Intended,
            false => Verdict::Different(unintended),
        }
    }
}

/// One of both servers.
struct Server {
    name: &'static str,
    base: BaseUrl,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Server {
    fn new(name: &'static str, base: BaseUrl, roots: &Roots) -> Result<Self, TlsError> {
        let connector = outgoing::connector(base.is_https(), roots, CONNECT_TIMEOUT)?;
        // A connection per request: none fails because the server closed an idle one.
        let http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { name, base, http })
    }

    /// Sends a request, with a token in place of the recorded one.
    ///
    /// # Errors
    /// When there is no connection.
    async fn send(&self, recorded: &RecordedRequest, token: Option<&authy_core::Secret>) -> Result<Answer, BoxError> {
        let mut request = Request::new(Full::from(recorded.body.to_vec()));
        *request.method_mut() = recorded.method.clone();
        *request.uri_mut() = self.base.uri(recorded.target.as_str())?;
        let headers = request.headers_mut();
        *headers = recorded.headers.clone();
        headers.insert(USER_AGENT, HeaderValue::from_static(SHADOW_USER_AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(token) = token {
            tokens::replace(headers, token);
        }
        let answered = pin!(async {
            let (head, body) = self.http.request(request).await?.into_parts();
            let answer = match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
                Ok(body) => Answer::received(head.status, &head.headers, &body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    Answer::Received { status: head.status, body: Body::TooLong }
                }
                Err(_) => Answer::Missing("an answer that ends early"),
            };
            Ok(answer)
        });
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => self.without_answer(&error),
            Err(_) => Ok(Answer::Missing(NO_ANSWER_IN_TIME)),
        }
    }

    fn without_answer(&self, error: &hyper_util::client::legacy::Error) -> Result<Answer, BoxError> {
        match error.is_connect() {
            true => {
                let Self { name, base, .. } = self;
                Err(format!("the {name} server, {base}, cannot be reached: {}", chain(error)).into())
            }
            false => Ok(Answer::Missing("no answer")),
        }
    }

    /// Fails when the server has not answered for a while.
    fn count_timeouts(&self, answer: &Answer, timeouts: &mut u32) -> Result<(), BoxError> {
        *timeouts = if *answer == Answer::Missing(NO_ANSWER_IN_TIME) { *timeouts + 1 } else { 0 };
        match *timeouts < MAX_TIMEOUTS {
            true => Ok(()),
            false => {
                let Self { name, base, .. } = self;
                Err(format!(
                    "the {name} server, {base}, gave no answer within 10 s, {MAX_TIMEOUTS} times in succession"
                )
                .into())
            }
        }
    }
}
