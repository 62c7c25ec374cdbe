//! Access tokens of an earlier system, accepted until they expire. They name no session and no time of issue, so that the
//! first use of one opens a session for it, and any revocation of its user before that voids it. The database is asked at
//! every check: a token may live longer than the revocations of our own tokens are kept.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Sessions, TokenSubject, authenticate::revoked, sql};
use crate::{
    ClientInfo, Error, Identity, Result, SessionId, UserId,
    api::event::EventKind,
    claims::MAX_TOKEN_LENGTH,
    engine::{
        config::LegacyTokens,
        journal::{
            actor::Actor,
            caller::Caller,
            event::{Columns, Event},
        },
        storage::statement::Params,
    },
    time::{from_unix_seconds, unix_now},
};

/// Maximum of [`LegacyTokens::max_lifetime`]: the audit trail, which tells whether a user was revoked, is kept for longer.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Verifies tokens that are signed with HS512 and the secret of the earlier system.
pub(super) struct LegacyVerifier {
    key: DecodingKey,
    validation: Validation,
    max_lifetime: Duration,
}

/// The claims that every token has. Others are ignored: the level is that of the database.
#[derive(Deserialize)]
struct LegacyClaims {
    public_id: UserId,
    #[serde(rename = "username")]
    _username: String,
    exp: u64,
}

/// A token whose signature and times are right.
#[derive(Debug, PartialEq)]
struct LegacyToken {
    user: UserId,
    session: SessionId,
    expires: DateTime<Utc>,
}

impl LegacyVerifier {
    pub(super) fn new(config: &LegacyTokens) -> Self {
        let mut validation = Validation::new(Algorithm::HS512);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp"]);
        let key = DecodingKey::from_secret(config.secret.expose().as_bytes());
        Self { key, validation, max_lifetime: config.max_lifetime.min(MAX_LIFETIME) }
    }

    /// Verifies signature, expiry and claims. `None` for every other token.
    fn verify(&self, token: &str) -> Option<LegacyToken> {
        // What is signed, so that no other spelling of the signature is another session.
        let (signed, _) = token.rsplit_once('.').filter(|_| token.len() <= MAX_TOKEN_LENGTH)?;
        let claims = jsonwebtoken::decode::<LegacyClaims>(token, &self.key, &self.validation).ok()?.claims;
        if claims.exp.saturating_sub(unix_now()) > self.max_lifetime.as_secs() {
            return None;
        }
        let hash = digest(&SHA256, signed.as_bytes());
        let session = uuid::Builder::from_random_bytes(*hash.as_ref().first_chunk()?).into_uuid();
        Some(LegacyToken { user: claims.public_id, session: session.into(), expires: from_unix_seconds(claims.exp) })
    }
}

impl Sessions {
    /// Returns who a token of the earlier system belongs to. Returns the error of a token that is `refused` as one of ours
    /// when it is none, or none is accepted.
    pub(super) async fn authenticate_legacy(&self, token: &str, refused: Error) -> Result<Identity> {
        let verified = self.legacy.as_ref().and_then(|legacy| legacy.verify(token));
        let Some(LegacyToken { user, session, expires }) = verified else { return Err(refused) };
        let ids: Params<'_> = &[session.as_uuid(), user.as_uuid()];
        let find = async || self.db().read_opt(&sql::FIND_LEGACY, ids).await;
        let mut found = find().await?.ok_or_else(revoked)?;
        if !is_open(&found) {
            self.open_legacy(*session.as_uuid(), *user.as_uuid(), expires).await?;
            // Perhaps another request has opened it, or the user was revoked meanwhile.
            found = find().await?.filter(is_open).ok_or_else(revoked)?;
        }
        let TokenSubject { id, username, ver, level, roles } = TokenSubject::of(&found)?;
        Ok(Identity {
            public_id: id,
            username: Some(username),
            level,
            roles: Some(roles),
            ver,
            session_id: session,
            expires,
        })
    }

    async fn open_legacy(&self, session: Uuid, user: Uuid, expires: DateTime<Utc>) -> Result<()> {
        let anonymous = Caller::anonymous(ClientInfo::default());
        let event = Event::new(EventKind::SessionOpened, &Actor::by_secret(&anonymous));
        let Columns { event_id, kind, actor, actor_kind, .. } = event.columns();
        let params: Params<'_> = &[&session, &user, &expires, &event_id, &kind, &actor, &actor_kind];
        self.db().write(&sql::OPEN_LEGACY, params).await.map(drop)
    }
}

fn is_open(found: &Row) -> bool {
    found.get("is_open")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::Secret;

    const SECRET: &str = "27-characters-of-a-secret-x";
    const DAY: u64 = 24 * 3600;

    fn verifier() -> LegacyVerifier {
        let max_lifetime = Duration::from_secs(DAY);
        LegacyVerifier::new(&LegacyTokens { secret: Secret::new(SECRET), max_lifetime })
    }

    fn sign(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn claims() -> Value {
        json!({ "public_id": UserId::random(), "username": "ada", "exp": unix_now() + 600 })
    }

    #[test]
    fn a_token_of_the_earlier_system_is_read() {
        let claims = claims();
        let token = sign(Algorithm::HS512, &claims, SECRET);
        let read = verifier().verify(&token).unwrap();
        assert_eq!(json!(read.user), claims["public_id"]);
        assert_eq!(read, verifier().verify(&token).unwrap(), "its session is always the same");
        assert_ne!(read.session, verifier().verify(&sign(Algorithm::HS512, &self::claims(), SECRET)).unwrap().session);
    }

    #[test]
    fn what_is_wrong_with_a_token_is_refused() {
        let now = unix_now();
        for (name, value) in [
            ("exp", json!(now - 1)),
            ("exp", json!(now + DAY + 60)),
            ("exp", json!(null)),
            ("exp", json!((now + 600).to_string())),
            ("exp", json!(-1)),
            ("nbf", json!(now + 600)),
            ("aud", json!("another service")),
            ("public_id", json!("1")),
            ("public_id", json!(null)),
            ("username", json!(null)),
        ] {
            let mut claims = claims();
            claims[name] = value;
            assert_eq!(verifier().verify(&sign(Algorithm::HS512, &claims, SECRET)), None, "{claims}");
        }
        for name in ["exp", "public_id", "username"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(verifier().verify(&sign(Algorithm::HS512, &claims, SECRET)), None, "without {name}");
        }
        for algorithm in [Algorithm::HS256, Algorithm::HS384] {
            assert_eq!(verifier().verify(&sign(algorithm, &claims(), SECRET)), None, "{algorithm:?}");
        }
        for secret in ["", "27-characters-of-a-secret-y"] {
            assert_eq!(verifier().verify(&sign(Algorithm::HS512, &claims(), secret)), None, "{secret}");
        }
        let mut long = claims();
        long["username"] = json!("a".repeat(1000));
        assert_eq!(verifier().verify(&sign(Algorithm::HS512, &long, SECRET)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_a_panic(text in "\\PC*|[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,90}") {
            prop_assert_eq!(verifier().verify(&text), None);
        }

        #[test]
        fn a_changed_token_is_refused(position in 0_usize..200, other in "[A-Za-z0-9_.-]") {
            let token = sign(Algorithm::HS512, &claims(), SECRET);
            let position = position.min(token.len() - 1);
            let changed = format!("{}{other}{}", &token[..position], &token[position + 1..]);
            prop_assume!(changed != token);
            prop_assert_eq!(verifier().verify(&changed), None);
        }
    }
}
