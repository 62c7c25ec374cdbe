//! Tokens that must never be accepted, signed with the server's own key where that is what an attack needs.

use authy_core::{
    Jwk,
    claims::{Claims, SigningAlgorithm},
    time,
};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hkdf, hmac,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use crate::{TestApp, TestUser};

/// A forger with everything: the public keys, a valid token of a user, and the server's private key.
pub struct Forger {
    jwk: Jwk,
    key: Ed25519KeyPair,
    good: String,
    refresh: String,
    claims: Value,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Forger {
    /// Takes the private key out of the database, which takes the master key.
    pub async fn new(app: &TestApp, user: &TestUser) -> Self {
        let jwk = app.authy.keys().published().keys[0].clone();
        let sql = app.sql().await;
        let row = sql.query_one("SELECT sealed FROM authy.signing_key WHERE kid = $1", &[&jwk.kid]).await.unwrap();
        let sealed: Vec<u8> = row.get(0);
        let master = BASE64_STANDARD.decode(app.master_keys.to_base64().as_bytes()).unwrap();
        let mut key = [0; 32];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"authy").extract(&master);
        let purpose: [&[u8]; 1] = [b"authy sealing of private keys"];
        extracted.expand(&purpose, hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
        let (nonce, mut boxed) = (<[u8; 12]>::try_from(&sealed[4..16]).unwrap(), sealed[16..].to_vec());
        let opener = RandomizedNonceKey::new(&AES_256_GCM, &key).unwrap();
        let private = opener.open_in_place(Nonce::from(&nonce), Aad::from(jwk.kid.as_str()), &mut boxed).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(private).unwrap();
        let good = user.token.expose().to_owned();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(good.split('.').nth(1).unwrap()).unwrap();
        let claims = serde_json::from_slice(&claims).unwrap();
        Self { jwk, key, good, refresh: user.refresh_token.expose().to_owned(), claims }
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.jwk.kid, "typ": "at+jwt" })
    }

    /// A token of any bytes, with a good signature.
    fn signed(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        let signature = b64(self.key.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    fn with_header(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut header = self.header();
        change(&mut header);
        self.signed(header.to_string(), self.claims.to_string())
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        self.signed(self.header().to_string(), claims.to_string())
    }

    fn without_claim(&self, name: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        self.signed(self.header().to_string(), claims.to_string())
    }

    /// The same claims, signed with a key of the forger's under a `kid`.
    fn by_another_key(&self, header: Value) -> String {
        let key = Ed25519KeyPair::generate().unwrap();
        let input = format!("{}.{}", b64(header.to_string()), b64(self.claims.to_string()));
        format!("{input}.{}", b64(key.sign(input.as_bytes())))
    }

    fn macced(&self, key: &[u8]) -> String {
        let header = json!({ "alg": "HS256", "kid": self.jwk.kid, "typ": "at+jwt" });
        let input = format!("{}.{}", b64(header.to_string()), b64(self.claims.to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        format!("{input}.{}", b64(hmac::sign(&key, input.as_bytes())))
    }

    /// A token that must be accepted: what is below is refused for what is wrong with it, and for nothing else.
    pub fn control(&self) -> String {
        self.with_claim("jti", json!("another"))
    }

    /// A token that expires in `seconds` from now, with a valid signature.
    pub fn living(&self, seconds: u64) -> String {
        self.with_claim("exp", json!(time::unix_now() + seconds))
    }

    /// Every attack, by name. `elsewhere` is a URL that must never be requested.
    pub fn corpus(&self, elsewhere: &str) -> Vec<(String, String)> {
        let mut corpus = self.wrong_headers(elsewhere);
        corpus.extend(self.wrong_claims());
        corpus.extend(self.wrong_keys());
        corpus.extend(self.wrong_forms());
        corpus
    }

    fn wrong_headers(&self, elsewhere: &str) -> Vec<(String, String)> {
        let mut corpus = Vec::new();
        for alg in ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS256", "ES256", "PS256", "eddsa", "Ed25519"]
        {
            corpus.push((format!("alg is {alg:?}"), self.with_header(|header| header["alg"] = json!(alg))));
            let unsigned =
                format!("{}.{}.", b64(self.header().to_string().replace("EdDSA", alg)), b64(self.claims.to_string()));
            corpus.push((format!("alg is {alg:?}, without a signature"), unsigned));
        }
        for typ in ["JWT", "jwt", "id+jwt", "rt+jwt", "logout+jwt", "application/at+jwt ", ""] {
            corpus.push((format!("typ is {typ:?}"), self.with_header(|header| header["typ"] = json!(typ))));
        }
        for kid in [
            "../../../../dev/null",
            "/proc/self/environ",
            "' OR '1'='1",
            "x' UNION SELECT 'AAAA'; --",
            "",
            elsewhere,
            "\0",
            "a|whoami",
        ] {
            corpus.push((format!("kid is {kid:?}"), self.with_header(|header| header["kid"] = json!(kid))));
        }
        let jwk = json!(self.jwk);
        for (name, value) in [
            ("jwk", jwk.clone()),
            ("jku", json!(elsewhere)),
            ("x5u", json!(elsewhere)),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("cty", json!("JWT")),
        ] {
            corpus.push((format!("header with {name} {value}"), self.with_header(|header| header[name] = value)));
        }
        for name in ["alg", "kid", "typ"] {
            let dropped = self.with_header(|header| drop(header.as_object_mut().unwrap().remove(name)));
            corpus.push((format!("header without {name}"), dropped));
            corpus.push((format!("{name} is null"), self.with_header(|header| header[name] = json!(null))));
            corpus.push((format!("{name} is a list"), self.with_header(|header| header[name] = json!(["EdDSA"]))));
        }
        let twice = self.header().to_string().replacen('{', r#"{"alg":"none","#, 1);
        corpus.push(("alg twice".into(), self.signed(twice, self.claims.to_string())));
        corpus
    }

    fn wrong_claims(&self) -> Vec<(String, String)> {
        let now = time::unix_now();
        let other = authy_core::UserId::random().to_string();
        let mut corpus = Vec::new();
        for (name, value) in [
            ("exp", json!(now - 1)),
            ("exp", json!(0)),
            ("exp", json!(-1)),
            ("exp", json!((now + 900).to_string())),
            ("exp", json!(1e300)),
            ("exp", json!(null)),
            ("exp", json!([now + 900])),
            ("iat", json!(now + 100_000)),
            ("iat", json!(u64::MAX)),
            ("nbf", json!(now + 100_000)),
            ("iss", json!("https://elsewhere.example")),
            ("iss", json!(["https://elsewhere.example"])),
            ("iss", json!("")),
            ("aud", json!("shop")),
            ("aud", json!(["shop", "other"])),
            ("aud", json!("")),
            ("sub", json!(other)),
            ("sub", json!("")),
            ("public_id", json!(other)),
            ("public_id", json!("1")),
            ("level", json!(-3_000_000_000_i64)),
            ("level", json!("0")),
            ("level", json!(1e9)),
            ("level", json!(null)),
            ("ver", json!(-1)),
            ("ver", json!("1")),
            ("sid", json!("not-a-session")),
            ("roles", json!("superadmin")),
            ("roles", json!([{ "name": "superadmin" }])),
            ("username", json!("a b\u{0}")),
        ] {
            corpus.push((format!("{name} is {value}"), self.with_claim(name, value)));
        }
        for name in ["exp", "iss", "aud", "sub", "iat", "level", "public_id", "sid", "ver", "jti"] {
            corpus.push((format!("without {name}"), self.without_claim(name)));
        }
        let twice = self.claims.to_string().replacen('{', r#"{"level":0,"#, 1);
        corpus.push(("level twice".into(), self.signed(self.header().to_string(), twice)));
        for payload in ["", "null", "[]", "{}", "\"text\"", "{\"exp\":", "\u{feff}{}"] {
            corpus.push((format!("payload is {payload:?}"), self.signed(self.header().to_string(), payload)));
        }
        corpus.push(("payload is no UTF-8".into(), self.signed(self.header().to_string(), [0xff, 0xfe, 0x7b])));
        corpus.push(("payload is deep".into(), self.signed(self.header().to_string(), "[".repeat(300))));
        corpus
    }

    fn wrong_keys(&self) -> Vec<(String, String)> {
        let public = BASE64_URL_SAFE_NO_PAD.decode(self.jwk.x.as_deref().unwrap()).unwrap();
        let mut corpus = vec![
            ("MAC with the public key".into(), self.macced(&public)),
            ("MAC with the public key as base64".into(), self.macced(self.jwk.x.as_deref().unwrap().as_bytes())),
            ("MAC with the JWK".into(), self.macced(json!(self.jwk).to_string().as_bytes())),
            ("MAC with nothing".into(), self.macced(b"")),
            ("another key under a known kid".into(), self.by_another_key(self.header())),
        ];
        let own = Ed25519KeyPair::generate().unwrap();
        let mut header = self.header();
        header["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(own.public_key()) });
        corpus.push(("another key, in the header".into(), self.by_another_key(header)));
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let header = json!({ "alg": "ES256", "kid": self.jwk.kid, "typ": "at+jwt" });
        let input = format!("{}.{}", b64(header.to_string()), b64(self.claims.to_string()));
        let random = aws_lc_rs::rand::SystemRandom::new();
        let signature = ec.sign(&random, input.as_bytes()).unwrap();
        corpus.push(("another algorithm under a known kid".into(), format!("{input}.{}", b64(signature))));
        // r = s = 0, which careless implementations accept from any signer.
        corpus.push(("ES256 with a signature of zeros".into(), format!("{input}.{}", b64([0; 64]))));
        let claims: Claims = serde_json::from_value(self.claims.clone()).unwrap();
        let empty = claims.sign(SigningAlgorithm::EdDSA, &self.jwk.kid, |_| Ok(Vec::new())).unwrap();
        corpus.push(("an empty signature".into(), empty));
        corpus
    }

    fn wrong_forms(&self) -> Vec<(String, String)> {
        let good = &self.good;
        let parts: Vec<_> = good.split('.').collect();
        let mut corpus: Vec<(String, String)> = [
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("one part", parts[0].to_owned()),
            ("two parts", format!("{}.{}", parts[0], parts[1])),
            ("four parts", format!("{good}.{}", parts[2])),
            ("two dots too many", format!("{good}..")),
            ("five parts, as encrypted tokens have", format!("{good}.{}.{}", parts[0], parts[1])),
            ("cut short", good[..good.len() - 1].to_owned()),
            ("cut in half", good[..good.len() / 2].to_owned()),
            ("more behind it", format!("{good}A")),
            ("a line break behind it", format!("{good}\n")),
            ("padding behind it", format!("{good}==")),
            (
                "padded base64",
                parts
                    .iter()
                    .map(|part| BASE64_URL_SAFE.encode(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()))
                    .collect::<Vec<_>>()
                    .join("."),
            ),
            ("blanks in it", good.replacen('.', " .", 1)),
            ("signature first", format!("{}.{}.{}", parts[2], parts[1], parts[0])),
            ("a refresh token", self.refresh.clone()),
            ("huge", "a".repeat(20_000)),
            ("a huge payload", self.with_claim("roles", json!(vec!["auctioneer"; 500]))),
            ("a huge kid", self.with_header(|header| header["kid"] = json!("k".repeat(2000)))),
            ("bearer twice", format!("Bearer {good}")),
            ("letters of another script", good.replace('e', "е")),
        ]
        .map(|(name, token)| (name.to_owned(), token))
        .into();
        for (number, part) in ["header", "payload", "signature"].iter().enumerate() {
            for position in [0, 7, 20] {
                let mut changed: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
                let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(parts[number]).unwrap();
                bytes[position] ^= 1;
                changed[number] = b64(bytes);
                corpus.push((format!("a bit of the {part} flipped at {position}"), changed.join(".")));
            }
        }
        corpus
    }
}
