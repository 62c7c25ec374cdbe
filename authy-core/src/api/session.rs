//! Sessions: logging in, being checked, and the keys to check tokens with.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use http::HeaderValue;

use super::{Nothing, Reply, endpoints, requests};
use crate::{
    Access, Jwk, Level, RoleName, Secret, SessionId, UserId, Username,
    access::ADMIN,
    revocation::{Cursor, Revocation},
    time::HttpDate,
};

const SUBJECT: &str = "session";

/// The header in which a login sends the device token of an earlier one.
pub const DEVICE_TOKEN: &str = "x-device-token";

endpoints! {
    /// Log in.
    ///
    /// Unknown name, wrong password and deleted user get the same answer after the same time. So does everybody while too
    /// many wrong passwords are slowed, the right one included; a device that logged in before and sends its device token has
    /// a count of its own.
    Login: POST "/authy/login" () Credentials => Tokens, Access::Public, Login;
        fails InvalidInput | InvalidCredentials | NotValidated | NoRole | Overloaded;

    /// Exchange a refresh token for fresh tokens.
    ///
    /// The same token again, within half a minute, yields the same refresh token again. Later, or an older one: somebody
    /// has a copy, and the session is over.
    Refresh: POST "/authy/token" () RefreshToken => Tokens, Access::Public;
        fails InvalidInput | InvalidRefreshToken | NoRole;

    /// Log out: this session is over, its access tokens too, at once.
    Logout: POST "/authy/logout" () Nothing => Nothing, Access::Authenticated;

    /// My sessions, the one used last first.
    ListSessions: GET "/authy/user/session" () Nothing => SessionList, Access::Authenticated;

    /// End all my other sessions.
    EndOtherSessions: DELETE "/authy/user/session" () Nothing => Nothing, Access::Authenticated;

    /// End one of my sessions.
    EndSession: DELETE "/authy/user/session/{session_id}" (SessionId) Nothing => Nothing, Access::Authenticated;
        fails NotFound;

    /// End all sessions of a user.
    EndUserSessions: DELETE "/authy/user/{public_id}/session" (UserId) Nothing => Nothing, Access::Level(ADMIN);
        fails NotFound | AlreadyDeleted | BeyondYourLevel;

    /// Check that the caller's level is the given one or smaller (a smaller level is more power).
    CheckAccess: GET "/authy/checkaccess/{level}" (Level) Nothing => AccessGranted, Access::Authenticated, Exempt;
        fails InvalidInput | InsufficientLevel;

    /// The public keys that verify access tokens (RFC 7517).
    GetKeys: GET "/authy/.well-known/jwks.json" () Nothing => JwkSet, Access::Public, Exempt;

    /// The public keys that verify access tokens, at the place where libraries look for them.
    GetKeysAtRoot: GET "/.well-known/jwks.json" () Nothing => JwkSet, Access::Public, Exempt;

    /// Which tokens are void before they expire: all of them, or what was added since a cursor.
    ///
    /// Asked for `text/event-stream` it goes on: an event for everything that becomes void, and at least one a second as
    /// long as the server itself is up to date. The id of each event is the cursor to resume at (`Last-Event-ID`).
    /// Streams with a good token have places of their own; any other token is ignored. 503 when there is no place left.
    ///
    /// Without a stream it is served from memory, as of the last poll, with an `ETag`; `If-None-Match` answers 304 as long as the
    /// same tokens are void. 503 when the server itself is not up to date.
    GetRevocations: GET "/authy/revocations" () RevocationQuery => RevocationPage, Access::Public;
        fails InvalidInput | Unavailable;
}

requests! {
    /// A name and a password.
    pub struct Credentials {
        /// The username, in any case.
        pub username: String,
        /// The password, exactly as it was chosen.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub password: Secret,
    }
}

requests! {
    /// A refresh token.
    pub struct RefreshToken {
        /// The token, as it came.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub refresh_token: Secret,
    }

    /// Since when.
    pub struct RevocationQuery {
        /// The cursor of an earlier answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<Cursor>,
    }
}

impl Credentials {
    /// A name and a password.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self { username: username.into(), password }
    }
}

wire! {
    /// What a login yields.
    pub struct Tokens {
        /// The access token: a JWT of at most 1000 characters.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub token: Secret,
        /// `Bearer`.
        pub token_type: String,
        /// Seconds until the access token expires.
        pub expires_in: u64,
        /// The token that the next access token is asked with.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub refresh_token: Secret,
        /// Seconds until the refresh token expires, unless it is used.
        pub refresh_expires_in: u64,
        /// Who logged in.
        pub public_id: UserId,
        /// Of a login: what makes this device known for a year. Sent back with the next login it is not held up by the
        /// guesses of others. It opens nothing by itself.
        #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_option")]
        pub device_token: Option<Secret>,
    }

    /// A caller who is powerful enough.
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

    /// One login, and the chain of tokens that came from it.
    pub struct SessionView {
        /// The session.
        pub session_id: SessionId,
        /// When the user logged in.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// When tokens were last issued.
        #[serde(with = "HttpDate")]
        pub last_used: DateTime<Utc>,
        /// When it ends, unless it is used.
        #[serde(with = "HttpDate")]
        pub expires: DateTime<Utc>,
        /// The address that logged in.
        pub ip: Option<String>,
        /// What logged in.
        pub user_agent: Option<String>,
        /// Whether it is the one that this request's token came from.
        pub current: bool,
    }

    /// What is void.
    pub struct RevocationPage {
        /// What is void, or became so since the cursor; some of it may have been sent before.
        pub revocations: Vec<Revocation>,
        /// Where to go on.
        pub cursor: Cursor,
        /// The time as of which this is complete, by the clock of the database, in milliseconds since 1970. The age of what a
        /// follower knows counts from this time, not from when the answer arrived.
        pub as_of_ms: u64,
    }

    /// A set of public keys (RFC 7517, section 5).
    pub struct JwkSet {
        /// The keys.
        pub keys: Vec<Jwk>,
        /// How long it may be kept, in seconds: told in `Cache-Control`.
        #[serde(skip)]
        pub max_age: u64,
    }
}

impl Reply for Tokens {}
impl Reply for AccessGranted {}
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
