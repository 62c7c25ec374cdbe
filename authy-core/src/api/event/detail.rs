//! The details of events, one type per shape. [`EventKind`](super::EventKind) names the type of each kind.

use crate::{EventId, Level, RoleName};

wire! {
    /// No detail.
    pub struct NoDetail {}

    /// The detail of a sign-up.
    pub struct RegistrationDetail {
        /// The first role of the user.
        #[cfg_attr(feature = "schema", schemars(example = &"user"))]
        pub role: RoleName,
        /// The ID of the code that confirms the email address; absent when the creator vouches for the address, and when the user is
        /// invited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(extend("format" = "uuid"), example = CODE_ID))]
        pub code_id: Option<String>,
        /// Whether the creator vouches for the address. Absent for a sign-up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub validated: Option<bool>,
        /// Whether the user has no password yet: a `reset.requested` with the code of the invitation follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub invited: bool,
    }

    /// The detail of an import of a user.
    pub struct ImportDetail {
        /// The name of the source.
        #[cfg_attr(feature = "schema", schemars(example = &"authy-1"))]
        pub source: String,
        /// The roles that the user has by the import.
        #[cfg_attr(feature = "schema", schemars(example = ["user"]))]
        pub roles: Vec<RoleName>,
        /// What an import of a user who was imported before has changed: `created`, `last_login`, `email`, `validated`,
        /// `password`, `roles`, `deleted` or `restored`. Absent for a new user.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "schema", schemars(example = ["password"]))]
        pub changed: Vec<String>,
    }

    /// The one-time code of an event.
    pub struct CodeDetail {
        /// The ID of the code. It is not the code itself, and grants nothing.
        #[cfg_attr(feature = "schema", schemars(extend("format" = "uuid"), example = CODE_ID))]
        pub code_id: String,
    }

    /// The detail of a password reset.
    pub struct ResetDetail {
        /// The ID of the code; absent when the code was returned to the operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(extend("format" = "uuid"), example = CODE_ID))]
        pub code_id: Option<String>,
    }

    /// The detail of a new password.
    pub struct PasswordDetail {
        /// Whether it was set with a reset code.
        pub reset: bool,
    }

    /// The detail of a login.
    pub struct LoginDetail {
        /// The level of the user.
        pub level: Level,
        /// Whether the device had not logged in before. Absent when it had.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub new_device: bool,
        /// Whether the login was at an earlier system, whose token was used here for the first time. Otherwise absent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub legacy: bool,
    }

    /// The detail of a refresh.
    pub struct RefreshDetail {
        /// The number of refreshes of the session, of the token that was issued or presented again.
        pub generation: u64,
    }

    /// The detail of an ended session.
    pub struct SessionEndDetail {
        /// `too_many` when a login ended the session, because its user had 100 live sessions: the least recently used
        /// session is ended. `lost_history` when the session was older than its refresh token, or was not there at all,
        /// because the database was restored to an earlier time. Otherwise absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = &"too_many"))]
        pub reason: Option<String>,
    }

    /// The detail of the end of all sessions.
    pub struct AllSessionsEndedDetail {
        /// The number of users, including those without a session.
        pub users: u64,
        /// The number of sessions.
        pub sessions: u64,
    }

    /// The detail of an issued token.
    pub struct TokenDetail {
        /// The level in the token.
        pub level: Level,
    }

    /// The detail of a throttled account.
    pub struct ThrottleDetail {
        /// What was guessed: the password of a `login` from unknown devices, or from a known `device`, or the
        /// `password` that is required for a change.
        #[cfg_attr(feature = "schema", schemars(example = &"login"))]
        pub of: String,
        /// The number of failures in a row.
        pub failures: u64,
    }

    /// The detail of a new role.
    pub struct NewRoleDetail {
        /// The name of the role.
        pub role: RoleName,
        /// The level of the role.
        pub level: Level,
    }

    /// The role of an event.
    pub struct RoleDetail {
        /// The name of the role.
        pub role: RoleName,
    }

    /// The detail of a new signing key.
    pub struct NewKeyDetail {
        /// The ID of the key.
        #[cfg_attr(feature = "schema", schemars(example = KID))]
        pub kid: String,
        /// The algorithm: `EdDSA`, `ES256` or `RS256`.
        #[cfg_attr(feature = "schema", schemars(example = &"EdDSA"))]
        pub alg: String,
        /// The state: `pending` (published, does not sign yet) or `active`.
        #[cfg_attr(feature = "schema", schemars(example = &"pending"))]
        pub state: String,
    }

    /// The signing key of an event.
    pub struct KeyDetail {
        /// The ID of the key.
        #[cfg_attr(feature = "schema", schemars(example = KID))]
        pub kid: String,
    }

    /// The detail of a revoked signing key.
    pub struct KeyRevocationDetail {
        /// The ID of the key.
        #[cfg_attr(feature = "schema", schemars(example = KID))]
        pub kid: String,
        /// The ID of the key that signs instead; absent when the revoked key was not the active one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = &"Y9-aW6yDSTH3Xjfh3mWWUqW1Jnd1MD0gmO8ScXtn6Pw"))]
        pub next: Option<String>,
    }

    /// The detail of a change of the master key.
    pub struct ResealingDetail {
        /// The number of signing keys.
        pub keys: u64,
        /// The number of hashes that are kept for the first authy. Absent when there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = 250))]
        pub fallback_hashes: Option<u64>,
    }

    /// The detail of a replaced issuer.
    pub struct IssuerDetail {
        /// The issuer before; absent when the database kept none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(example = &"http://localhost:8080"))]
        pub from: Option<String>,
        /// The issuer from the next start of each server on.
        #[cfg_attr(feature = "schema", schemars(example = &"https://auth.example.org"))]
        pub to: String,
    }

    /// The detail of an export that began.
    pub struct ExportTargetDetail {
        /// The name of the source that users were imported from, and are written to.
        #[cfg_attr(feature = "schema", schemars(example = &"authy-1"))]
        pub source: String,
        /// The host of the database that is written to, or the folder of its socket. Several hosts have commas between.
        #[cfg_attr(feature = "schema", schemars(example = &"old-db.example.org"))]
        pub host: String,
        /// The name of the database.
        #[cfg_attr(feature = "schema", schemars(example = &"authy"))]
        pub database: String,
    }

    /// The detail of an export that ended.
    pub struct ExportDetail {
        /// The name of the source that users were imported from, and were written to.
        #[cfg_attr(feature = "schema", schemars(example = &"authy-1"))]
        pub source: String,
        /// The host of the database that was written to, or the folder of its socket. Several hosts have commas between.
        #[cfg_attr(feature = "schema", schemars(example = &"old-db.example.org"))]
        pub host: String,
        /// The name of the database.
        #[cfg_attr(feature = "schema", schemars(example = &"authy"))]
        pub database: String,
        /// The number of users here.
        pub read: u64,
        /// The number of users who are new there.
        pub created: u64,
        /// The number of users who were there and have been changed.
        pub changed: u64,
        /// The number of users who should have been written and were not.
        pub refused: u64,
        /// The number of roles that are new there.
        pub roles_created: u64,
    }

    /// The detail of hashes that were deleted.
    pub struct ForgottenHashesDetail {
        /// The number of hashes.
        pub hashes: u64,
    }

    /// The detail of a decision about a delivery.
    pub struct DeliveryDetail {
        /// The name of the sink.
        #[cfg_attr(feature = "schema", schemars(example = &"webhook"))]
        pub sink: String,
        /// The ID of the event that the sink has not accepted.
        pub event_id: EventId,
    }
}

#[cfg(feature = "schema")]
const CODE_ID: &str = "5e8f2a52-3b7c-4c1e-9a50-7d3c1b0f9e24";
#[cfg(feature = "schema")]
const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
