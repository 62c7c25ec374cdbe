//! Tokens in other languages: the scripts of examples/, run as they are against a server.

use std::process::Stdio;

use authy_core::claims::SigningAlgorithm;
use authy_tests::{TestApp, forge::Forger, operator, tools};
use tokio::process::Command;

async fn verify(mut command: Command, app: &TestApp, token: &str) -> (bool, String) {
    let output = command.arg(app.url()).arg(token).stdin(Stdio::null()).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

async fn is_verified_by(command: impl Fn() -> Command) {
    for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::ES256, SigningAlgorithm::RS256] {
        let app = TestApp::with(|config, _| config.signing_algorithm = algorithm).await;
        let user = app.user().await;
        let token = user.token.expose();
        let (good, said) = verify(command(), &app, token).await;
        assert!(good && said.contains(&format!("is {}, with level 10", user.id)), "{algorithm}: {said}");
        let other = TestApp::with(|config, _| config.signing_algorithm = algorithm).await;
        let (good, said) = verify(command(), &other, token).await;
        assert!(!good && said.contains("the token is not valid"), "{algorithm}: {said}");
        if algorithm == SigningAlgorithm::EdDSA {
            let forged = Forger::new(&app, &user).await.living(1000);
            let (good, said) = verify(command(), &app, &forged).await;
            assert!(!good && said.contains("it lives too long"), "{said}");
        }
        // Revoked tokens are found by the hashes that revocations are published with: a session's, and a user's.
        let gone = app.user().await;
        app.authy.users().delete(&operator(), gone.id).await.unwrap();
        let again = app.again(&user).await;
        user.client.logout().await.unwrap();
        for token in [token, gone.token.expose()] {
            let (good, said) = verify(command(), &app, token).await;
            assert!(!good && said.contains("it is revoked"), "{algorithm}: {said}");
        }
        let (good, said) = verify(command(), &app, again.token.expose()).await;
        assert!(good, "{algorithm}: another session of the same user: {said}");
    }
}

#[tokio::test]
async fn a_token_is_verified_in_python() {
    is_verified_by(|| {
        let mut command = Command::new(tools::python());
        command.arg(tools::root().join("examples/verify.py"));
        command
    })
    .await;
}

#[tokio::test]
async fn a_token_is_verified_in_javascript() {
    // A script finds its packages from where it lies.
    let script = tools::node().join("verify.mjs");
    std::fs::copy(tools::root().join("examples/verify.mjs"), &script).unwrap();
    is_verified_by(|| {
        let mut command = Command::new("node");
        command.arg(&script);
        command
    })
    .await;
}
