//! What it costs to know a million revocations, and to check a token that was seen before.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use authy_core::{
    Authenticator as _, Identity, Level, SessionId, UserId,
    claims::Token,
    revocation::{IdHash, Revocation, RevocationSet, RevokedTokens},
    time,
};
use authy_tests::TestApp;

use crate::resident;

const ENTRIES: u32 = 1_000_000;
const LOOKUPS: u32 = 2_000_000;

pub(crate) fn measure() {
    set();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(verifier());
}

fn set() {
    let before = resident();
    let until = time::now() + Duration::from_secs(900);
    let mut set = RevocationSet::new();
    let begun = Instant::now();
    for number in 0..ENTRIES {
        let tokens = match number % 2 {
            0 => RevokedTokens::Session { session: IdHash::of_session(SessionId::random()) },
            _ => RevokedTokens::User { user: IdHash::of_user(UserId::random()), ver: 2 },
        };
        set.insert(&Revocation { tokens, until });
    }
    let filled = begun.elapsed();
    let memory = resident().saturating_sub(before);
    let tokens: Vec<_> = (0..1024).map(|_| token(UserId::random())).collect();
    let begun = Instant::now();
    for number in 0..LOOKUPS {
        black_box(set.revokes(black_box(&tokens[number as usize % tokens.len()])));
    }
    let lookup = begun.elapsed() / LOOKUPS;
    println!(
        "a million live revocations: {:.0} MB, filled in {:.2} s, a look-up takes {} ns",
        memory as f64 / 1e6,
        filled.as_secs_f64(),
        lookup.as_nanos()
    );
}

fn token(public_id: UserId) -> Token {
    let (session_id, expires) = (SessionId::random(), time::now());
    let identity =
        Identity { public_id, username: None, level: Level::clamped(10), roles: None, ver: 1, session_id, expires };
    Token::new(identity, "key".into())
}

async fn verifier() {
    const TIMES: u32 = 200_000;
    let app = TestApp::new().await;
    let verifier = app.anonymous().verifier().start().await.unwrap();
    let user = app.user().await;
    let token = user.token.expose();
    verifier.authenticate(token).await.unwrap();
    let begun = Instant::now();
    for _ in 0..TIMES {
        black_box(verifier.authenticate(black_box(token)).await.unwrap());
    }
    println!("LocalVerifier, a token seen before: {} ns", (begun.elapsed() / TIMES).as_nanos());
    let mut fresh = Vec::new();
    for _ in 0..200 {
        fresh.push(app.again(&user).await.token);
    }
    let begun = Instant::now();
    for token in &fresh {
        verifier.authenticate(token.expose()).await.unwrap();
    }
    println!("LocalVerifier, a new token:         {:.1} us", begun.elapsed().as_secs_f64() * 1e6 / fresh.len() as f64);
    drop(verifier);
    app.stop().await;
}
