//! Signing keys: published, sealed, and the same after a restart.

use std::time::Duration;

use authy_core::{
    Authenticator as _, Authy, ErrorKind,
    api::session::Jwk,
    claims::{SigningAlgorithm, Verifier},
    engine::MasterKeys,
};
use authy_tests::{House, cheap};
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
        let house = House::with(|config, _| config.signing_algorithm = algorithm).await;
        let person = house.user().await;
        let keys = house.nobody().get_keys().await.unwrap();
        assert_eq!((keys.keys.len(), keys.max_age), (1, 300));
        assert_eq!(keys.keys[0].alg, algorithm.as_str());
        assert_eq!(keys.keys[0].kid, thumbprint(&keys.keys[0]));
        let verifier = Verifier::new(&house.url(), "authy", Duration::from_secs(900), &keys.keys).unwrap();
        assert_eq!(verifier.verify(person.token.expose()).unwrap().identity.public_id, person.id);
        assert!(person.token.expose().len() <= 1000);
        assert_eq!(person.client.get_self().await.unwrap().public_id, person.id);
    }
}

#[tokio::test]
async fn a_restart_keeps_the_key_and_so_the_tokens() {
    let house = House::new().await;
    let person = house.user().await;
    let keys = house.nobody().get_keys().await.unwrap();
    let (database, master_keys, issuer) = (house.database.clone(), house.master_keys.clone(), house.url());
    house.stop().await;
    let again = House::on(database, master_keys, |config, _| config.issuer = issuer).await;
    assert_eq!(again.nobody().get_keys().await.unwrap(), keys);
    assert!(again.authy.authenticate(person.token.expose()).await.is_ok());
}

#[tokio::test]
async fn a_wrong_master_key_refuses_to_start() {
    let house = House::new().await;
    let other = Authy::builder(house.database.clone()).master_keys(MasterKeys::generate().unwrap()).config(cheap());
    let error = other.start().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("master key is not the one"), "{error}");
}

#[tokio::test]
async fn servers_that_start_at_once_agree_on_one_key() {
    let database = authy_tests::database::fresh().await;
    let keys = MasterKeys::generate().unwrap();
    let started = authy_tests::at_once(4, move |_| {
        let builder = Authy::builder(database.clone()).master_keys(keys.clone()).config(cheap());
        async move { builder.start().await.unwrap().keys().keys[0].kid.clone() }
    });
    let kids = started.await;
    assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
}
