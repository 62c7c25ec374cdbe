//! A server for the tests to kill: the real engine, the real server, and a sink whose record survives them. It kills
//! itself at the step it is given, and ends with the process that started it.
//!
//! `authy-server-process DATABASE RECORD stream|queue deterministic|threaded [TRACK N]`, with the master key in
//! `SERVER_PROCESS_MASTER_KEY`. Once it listens it takes further `TRACK N` on its standard input. With
//! `SERVER_PROCESS_LOG` it logs to standard error.
//!
//! `authy-server-process verify URL` is a verifier: it answers each token on its standard input with `ok`, or the code of
//! the error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{
    io::{self, BufRead as _},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use authy_client::Client;
use authy_core::{
    Authenticator as _, Authy,
    engine::{Delivery, MasterKeys, Track, dangerous_die_at},
};
use authy_server::{HttpConfig, Server};
use authy_tests::{SERVER_PROCESS_ISSUER, cheap, legacy, recording_sink::RecordingSink, unlimited};
use tokio::{net::TcpListener, runtime};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os("SERVER_PROCESS_LOG").is_some() {
        tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).init();
    }
    if let [mode, url] = &arguments[..]
        && mode == "verify"
    {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(verify(url));
    }
    if let [track, nth] = &arguments[4..] {
        die_at(track, nth);
    }
    let mut runtime = match arguments[3].as_str() {
        // Everything in turn, so that the n-th point is the same one in every run.
        "deterministic" => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build().unwrap().block_on(serve(&arguments));
}

async fn serve(arguments: &[String]) {
    let keys = MasterKeys::parse(&std::env::var("SERVER_PROCESS_MASTER_KEY").unwrap()).unwrap();
    let mut config = cheap();
    config.issuer = Some(SERVER_PROCESS_ISSUER.to_owned());
    config.legacy_tokens = Some(legacy::accepted());
    let authy = Authy::builder(arguments[0].parse().unwrap())
        .without_background()
        .master_keys(keys)
        .config(config)
        .start()
        .await
        .unwrap();
    let pace = match arguments[2].as_str() {
        "stream" => Delivery::Ordered { in_flight: 3 },
        _ => Delivery::PerSubject { in_flight: 3 },
    };
    let sink = Arc::new(RecordingSink::open(Path::new(&arguments[1]), pace));
    let _background = authy.start_background_with(vec![sink]).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    thread::spawn(read_commands);
    // Tests that send nonsense wait until the connection is closed.
    let http = HttpConfig { keep_alive: Duration::from_secs(10), ..unlimited() };
    Server::new(authy, http).serve(listener, std::future::pending()).await.unwrap();
}

async fn verify(url: &str) {
    let client = Client::builder(url).retries(0).build().unwrap();
    let verifier = client.verifier().issuer(SERVER_PROCESS_ISSUER).start().await.unwrap();
    println!("verifying");
    for token in io::stdin().lock().lines() {
        let token = token.unwrap();
        let verdict =
            tokio::task::block_in_place(|| runtime::Handle::current().block_on(verifier.authenticate(&token)));
        println!("{}", verdict.map_or_else(|error| error.kind().code(), |_| "ok"));
    }
}

fn read_commands() {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (track, nth) = line.split_once(' ').unwrap();
        die_at(track, nth);
        println!("armed");
    }
    std::process::exit(0);
}

fn die_at(track: &str, nth: &str) {
    let track = match track {
        "request" => Track::Request,
        "relay" => Track::Relay,
        other => panic!("there is no track {other}"),
    };
    dangerous_die_at(track, nth.parse().unwrap());
}
