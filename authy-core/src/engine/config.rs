//! What can be set, each default with its reason.

use std::{path::PathBuf, time::Duration};

use crate::{claims::SigningAlgorithm, engine::crypto::hash_config::HashConfig};

/// How the engine behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The `aud` of the tokens.
    pub audience: String,
    /// How tokens are signed.
    pub signing_algorithm: SigningAlgorithm,
    /// How long an access token lives; a day at most ([`MAX_TOKEN_LIFETIME`](crate::claims::MAX_TOKEN_LIFETIME)).
    pub access_ttl: Duration,
    /// How long a session lasts that is not used.
    pub refresh_idle: Duration,
    /// How long a session lasts at all.
    pub refresh_absolute: Duration,
    /// How long a refresh token that was just exchanged still yields the same successor.
    pub refresh_grace: Duration,
    /// How long others may keep the published keys.
    pub jwks_max_age: Duration,
    /// How long a key signs.
    pub key_rotation: Duration,
    /// How long nothing may be heard of revocations before the database is asked about every token.
    pub max_staleness: Duration,
    /// How often the background work revokes a session that does not exist, to test that revocations arrive within a second;
    /// never when `None`. When one does not, there is a warning in the log; [`Authy::self_test`](super::Authy::self_test) returns
    /// the last result.
    pub self_test: Option<Duration>,
    /// How long the audit trail is kept, by whole months; for ever when `None`.
    pub event_retention: Option<Duration>,
    /// Whether only a user with a confirmed address can log in.
    pub require_validated: bool,
    /// Whether an administrator can set the password of a less powerful user, or only send a reset.
    pub admin_sets_passwords: bool,
    /// The page where users change their password, which `/.well-known/change-password` leads to.
    pub change_password_url: Option<String>,
    /// Usernames that nobody can sign up with, nor with a name that looks like one of them.
    pub reserved_usernames: Vec<String>,
    /// A file of breached passwords, as Have I Been Pwned publishes them: lines of `SHA1:COUNT`, by hash. None of them can be
    /// chosen. When it cannot be read, that is logged, and nobody is refused because of it.
    pub pwned_passwords: Option<PathBuf>,
    /// How passwords are hashed.
    pub hash: HashConfig,
    /// How many database connections transactions have.
    pub connections: usize,
}

/// Names that a user could use to speak in the operator's name.
const RESERVED: &[&str] = &[
    "abuse",
    "account",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "authy",
    "everyone",
    "guest",
    "help",
    "hostmaster",
    "info",
    "login",
    "me",
    "moderator",
    "nobody",
    "noreply",
    "no-reply",
    "null",
    "operator",
    "owner",
    "postmaster",
    "root",
    "security",
    "staff",
    "superadmin",
    "superuser",
    "support",
    "sysadmin",
    "system",
    "undefined",
    "user",
    "users",
    "webmaster",
    "www",
];

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: "authy".to_owned(),
            audience: "authy".to_owned(),
            signing_algorithm: SigningAlgorithm::default(),
            // Short, because a service that cannot hear of revocations trusts a token for as long as it lives.
            access_ttl: Duration::from_secs(15 * 60),
            // Two weeks' holiday do not log anybody out.
            refresh_idle: Duration::from_secs(14 * 24 * 3600),
            // A stolen session ends by itself within a season.
            refresh_absolute: Duration::from_secs(90 * 24 * 3600),
            // An answer that got lost is asked for again well within this.
            refresh_grace: Duration::from_secs(30),
            // Short enough that a new key is known everywhere minutes after it was made.
            jwks_max_age: Duration::from_secs(300),
            // A key that leaks unnoticed is worth something for a month at most.
            key_rotation: Duration::from_secs(30 * 24 * 3600),
            // A failover of the database takes less; a logout that takes longer to arrive is none.
            max_staleness: Duration::from_secs(30),
            // It writes a row a minute, which a program that embeds the crate should ask for.
            self_test: None,
            // An audit trail that forgets by itself has to be asked for.
            event_retention: None,
            // Without mail nobody could ever log in.
            require_validated: false,
            // Somebody without a mailbox has to be helped, too; the user is told.
            admin_sets_passwords: true,
            change_password_url: None,
            reserved_usernames: RESERVED.iter().map(ToString::to_string).collect(),
            // It is large, and has to be fetched.
            pwned_passwords: None,
            hash: HashConfig::default(),
            // More transactions at a time than a small PostgreSQL has cores bring nothing.
            connections: 8,
        }
    }
}
