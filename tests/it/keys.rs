//! Signing keys: published, sealed, and the same after a restart.

use std::time::Duration;

use authy_core::{
    Authenticator as _, Authy, ErrorKind, Jwk,
    claims::{SigningAlgorithm, Verifier},
    engine::MasterKeys,
};
use authy_tests::{TestApp, cheap};
use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::json;

/// RFC 7638: the required members, in the order of the alphabet, without blanks.
fn thumbprint(jwk: &Jwk) -> String {
    let members = match jwk.kty.as_str() {
        "OKP" => json!({ "crv": jwk.crv, "kty": jwk.kty, "x": jwk.x }),
        "EC" => json!({ "crv": jwk.crv, "kty": jwk.kty, "x": jwk.x, "y": jwk.y }),
        _ => json!({ "e": jwk.e, "kty": jwk.kty, "n": jwk.n }),
    };
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.to_string().as_bytes()))
}

#[tokio::test]
async fn tokens_are_signed_as_configured_and_verified_by_the_published_key() {
    for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::ES256, SigningAlgorithm::RS256] {
        let app = TestApp::with(|config, _| config.signing_algorithm = algorithm).await;
        let user = app.user().await;
        let keys = app.anonymous().get_keys().await.unwrap();
        assert_eq!((keys.keys.len(), keys.max_age), (1, 300));
        assert_eq!(keys.keys[0].alg, algorithm.as_str());
        assert_eq!(keys.keys[0].kid, thumbprint(&keys.keys[0]));
        let verifier = Verifier::new(&app.url(), "authy", Duration::from_secs(900), &keys.keys).unwrap();
        assert_eq!(verifier.verify(user.token.expose()).unwrap().identity.public_id, user.id);
        assert!(user.token.expose().len() <= 1000);
        assert_eq!(user.client.get_self().await.unwrap().public_id, user.id);
    }
}

#[tokio::test]
async fn a_restart_keeps_the_key_and_so_the_tokens() {
    let app = TestApp::new().await;
    let user = app.user().await;
    let keys = app.anonymous().get_keys().await.unwrap();
    let (database, master_keys, issuer) = (app.database.clone(), app.master_keys.clone(), app.url());
    app.stop().await;
    let again = TestApp::on(database, master_keys, |config, _| config.issuer = Some(issuer)).await;
    assert_eq!(again.anonymous().get_keys().await.unwrap(), keys);
    assert!(again.authy.authenticate(user.token.expose()).await.is_ok());
}

#[tokio::test]
async fn a_wrong_master_key_refuses_to_start() {
    let app = TestApp::new().await;
    let other = Authy::builder(app.database.clone())
        .without_background()
        .master_keys(MasterKeys::generate().unwrap())
        .config(cheap());
    let error = other.start().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("master key is not the one"), "{error}");
}

#[tokio::test]
async fn servers_that_start_at_once_agree_on_one_key() {
    let database = authy_tests::database::fresh().await;
    let keys = MasterKeys::generate().unwrap();
    let started = authy_tests::at_once(4, move |_| {
        let builder = Authy::builder(database.clone()).without_background().master_keys(keys.clone()).config(cheap());
        async move { builder.start().await.unwrap().keys().published().keys[0].kid.clone() }
    });
    let kids = started.await;
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
}
