//! Sessions: login, access checks, and the keys that verify tokens.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue};

use super::{Nothing, Reply, endpoints, forward_auth, requests};
use crate::{
    Access, Jwk, Level, RoleName, Secret, SessionId, UserId, Username,
    access::ADMIN,
    revocation::{Cursor, Revocation},
    time::HttpDate,
};

mod encoded;

pub use encoded::EncodedGrant;

const SUBJECT: &str = "session";

endpoints! {
    /// Log in.
    ///
    /// The response is the same, after the same time, for an unknown name, a wrong password and a deleted user. It is also the
    /// same for every login, even with the correct password, while too many wrong passwords slow down the account. A device that
    /// logged in before and sends its device token has a separate count.
    Login: POST "/authy/login" () Credentials => Tokens, Access::Public, Login;
        fails InvalidInput | InvalidCredentials | NotValidated | NoRole | Overloaded;

    /// Exchange a refresh token for new tokens.
    ///
    /// The same token again within 30 seconds returns the same new refresh token. A later repetition, or an older token, means
    /// that the token was copied: the session ends.
    Refresh: POST "/authy/token" () RefreshToken => Tokens, Access::Public;
        fails InvalidInput | InvalidRefreshToken | NoRole;

    /// Log out. Ends this session and revokes its access tokens immediately.
    Logout: POST "/authy/logout" () Nothing => Nothing, Access::Authenticated;

    /// List the caller's sessions, most recently used first.
    ListSessions: GET "/authy/user/session" () Nothing => SessionList, Access::Authenticated;

    /// End all other sessions of the caller.
    EndOtherSessions: DELETE "/authy/user/session" () Nothing => Nothing, Access::Authenticated;

    /// End one of the caller's sessions.
    EndSession: DELETE "/authy/user/session/{session_id}" (SessionId) Nothing => Nothing, Access::Authenticated;
        fails NotFound;

    /// End all sessions of a user.
    EndUserSessions: DELETE "/authy/user/{public_id}/session" (UserId) Nothing => Nothing, Access::Level(ADMIN);
        fails NotFound | AlreadyDeleted | BeyondYourLevel;

    /// Check that the caller's level is the given level or smaller. A smaller level is more powerful.
    ///
    /// The headers `x-authy-public-id`, `x-authy-username`, `x-authy-level` and `x-authy-roles` say the same as the body, for a
    /// proxy that asks before it passes a request on. Name and roles are percent-encoded (RFC 3986), and roles are separated by
    /// commas; `x-authy-roles` is empty when it would exceed 2 KiB. Every method is answered as GET; OPTIONS when the request has a
    /// header `X-Forwarded-…`, otherwise as everywhere.
    CheckAccess: GET "/authy/checkaccess/{level}" (Level) Nothing => AccessGranted, Access::Authenticated, Exempt; any method;
        fails InvalidInput | InsufficientLevel;

    /// Get the public keys that verify access tokens (RFC 7517).
    GetKeys: GET "/authy/.well-known/jwks.json" () Nothing => JwkSet, Access::Public, Exempt;

    /// Get the public keys that verify access tokens, at the path where libraries look for them.
    GetKeysAtRoot: GET "/.well-known/jwks.json" () Nothing => JwkSet, Access::Public, Exempt;

    /// List the tokens that are revoked before they expire: all of them, or those added since a cursor.
    ///
    /// With `Accept: text/event-stream` the response is a stream: one event per revocation, and at least one event per second
    /// while the server itself is up to date. The ID of each event is the cursor to resume from (`Last-Event-ID`). Streams with a
    /// valid token have a separate quota; an invalid token is ignored. 503 when the quota is used up.
    ///
    /// Without a stream the response comes from memory, as of the last poll, with an `ETag`; with `If-None-Match` the response is
    /// 304 while the same tokens are revoked. 503 when the server itself is not up to date.
    GetRevocations: GET "/authy/revocations" () RevocationQuery => RevocationPage, Access::Public;
        fails InvalidInput | Overloaded | Unavailable;
}

requests! {
    /// A username and a password.
    pub struct Credentials {
        /// The username, in upper or lower case.
        #[cfg_attr(feature = "schema", schemars(example = &"ada"))]
        pub username: String,
        /// The password, exactly as it was chosen.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub password: Secret,
    }
}

requests! {
    /// A refresh token.
    pub struct RefreshToken {
        /// The token, as it was received.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        #[cfg_attr(feature = "schema", schemars(with = "String", example = REFRESH_TOKEN))]
        pub refresh_token: Secret,
    }

    /// The start of the list of revocations.
    #[derive(Default)]
    pub struct RevocationQuery {
        /// The cursor of an earlier response.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<Cursor>,
    }
}

#[cfg(feature = "schema")]
const ACCESS_TOKEN: &str =
    "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJ1c2VybmFtZSI6ImFkYSIsImxldmVsIjoxMH0.c2lnbmF0dXJl";
#[cfg(feature = "schema")]
const REFRESH_TOKEN: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7.1.bWFjIG9mIHRoZSBjb3VudGVyIG9mIGEgc2Vzc2lvbi4";
impl Credentials {
    /// Creates credentials from a username and a password.
    pub fn new(username: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self { username: username.into(), password: password.into() }
    }
}

wire! {
    /// The tokens of a login.
    pub struct Tokens {
        /// The access token: a JWT of at most 1000 characters.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        #[cfg_attr(feature = "schema", schemars(with = "String", example = ACCESS_TOKEN))]
        pub token: Secret,
        /// `Bearer`.
        #[cfg_attr(feature = "schema", schemars(example = &"Bearer"))]
        pub token_type: String,
        /// Seconds until the access token expires.
        #[cfg_attr(feature = "schema", schemars(example = 900))]
        pub expires_in: u64,
        /// The time when the access token expires, by the clock of the server.
        #[serde(with = "HttpDate")]
        #[cfg_attr(feature = "schema", schemars(example = &"Tue, 11 Jun 2019 10:18:09 GMT"))]
        pub expires_at: DateTime<Utc>,
        /// The token that is exchanged for the next access token.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        #[cfg_attr(feature = "schema", schemars(with = "String", example = REFRESH_TOKEN))]
        pub refresh_token: Secret,
        /// Seconds until the refresh token expires, unless it is used.
        #[cfg_attr(feature = "schema", schemars(example = 1_209_600))]
        pub refresh_expires_in: u64,
        /// The time when the refresh token expires, unless it is used.
        #[serde(with = "HttpDate")]
        #[cfg_attr(feature = "schema", schemars(example = &"Tue, 25 Jun 2019 10:03:09 GMT"))]
        pub refresh_expires_at: DateTime<Utc>,
        /// The user who logged in.
        pub public_id: UserId,
        /// Only for a login: identifies this device for one year. Send it with the next login, so that other people's wrong
        /// guesses do not slow it down. It does not grant access.
        #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_option")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<String>", !default))]
        pub device_token: Option<Secret>,
    }

    /// The identity of a caller who is powerful enough.
    pub struct AccessGranted {
        /// The caller.
        pub public_id: UserId,
        /// The caller's name.
        pub username: Username,
        /// The caller's level.
        pub level: Level,
        /// The names of the caller's roles, most powerful first.
        pub roles: Vec<RoleName>,
    }

    /// A user's sessions.
    pub struct SessionList {
        /// The sessions, the one used last first.
        pub sessions: Vec<SessionView>,
    }

    /// A session: one login, and the chain of tokens that came from it.
    pub struct SessionView {
        /// The session ID.
        pub session_id: SessionId,
        /// The time of the login.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// The time when tokens were last issued.
        #[serde(with = "HttpDate")]
        pub last_used: DateTime<Utc>,
        /// The time when the session ends, unless it is used.
        #[serde(with = "HttpDate")]
        #[cfg_attr(feature = "schema", schemars(example = &"Tue, 25 Jun 2019 10:03:09 GMT"))]
        pub expires: DateTime<Utc>,
        /// The remote address of the login.
        #[cfg_attr(feature = "schema", schemars(example = &"203.0.113.7"))]
        pub ip: Option<String>,
        /// The `User-Agent` of the login.
        #[cfg_attr(feature = "schema", schemars(example = &"curl/8.5.0"))]
        pub user_agent: Option<String>,
        /// Whether the token of this request belongs to the session.
        #[cfg_attr(feature = "schema", schemars(example = true))]
        pub current: bool,
    }

    /// A list of revocations.
    pub struct RevocationPage {
        /// All revocations, or those since the cursor. Some may have been sent before.
        pub revocations: Vec<Revocation>,
        /// The cursor to continue from.
        pub cursor: Cursor,
        /// The time as of which the list is complete, by the clock of the database, in milliseconds since 1970. Calculate the age
        /// of the list from this time, not from the time when the response arrived.
        #[cfg_attr(feature = "schema", schemars(example = 1_560_247_389_123_u64))]
        pub as_of_ms: u64,
    }

    /// A set of public keys (RFC 7517, section 5).
    pub struct JwkSet {
        /// The keys.
        pub keys: Vec<Jwk>,
        /// Maximum time in seconds for which the keys may be cached, as in `Cache-Control`.
        #[serde(skip)]
        pub max_age: u64,
    }
}

impl Reply for Tokens {}
impl Reply for AccessGranted {
    fn add_headers(&self, headers: &mut HeaderMap) {
        let roles = self.roles.iter().map(RoleName::as_str);
        forward_auth::add_headers(headers, &self.public_id, &self.username, &self.level, roles);
    }
}
impl Reply for SessionList {}
impl Reply for RevocationPage {}
impl Reply for JwkSet {
    fn cache(&self) -> Cow<'static, str> {
        format!("public, max-age={}", self.max_age).into()
    }

    fn cached(mut self, cache_control: Option<&HeaderValue>) -> Self {
        let directives = cache_control.and_then(|value| value.to_str().ok()).unwrap_or_default().split(',');
        let max_age = directives.filter_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok()).next();
        self.max_age = max_age.unwrap_or_default();
        self
    }
}
