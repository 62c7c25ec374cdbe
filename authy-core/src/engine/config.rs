//! The configuration of the engine. Each default has its reason beside it.

use std::{path::PathBuf, time::Duration};

use crate::{
    Secret,
    claims::SigningAlgorithm,
    engine::{crypto::hash_config::HashConfig, storage::pooler::Pooler},
};

/// The configuration of the engine. The defaults are those of the server's settings, except those of `issuer` and
/// `self_test`.
///
/// ```
/// use std::time::Duration;
///
/// use authy_core::engine::Config;
///
/// let config = Config {
///     issuer: Some("https://shop.example".to_owned()),
///     access_ttl: Duration::from_secs(5 * 60),
///     event_retention: Some(Duration::from_secs(365 * 24 * 3600)),
///     ..Config::default()
/// };
/// # drop(config);
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// The `iss` claim of the tokens. The database keeps the first one, and a start with another fails, because instances
    /// with different issuers refuse each other's tokens; [`Authy::set_issuer`](crate::Authy::set_issuer) changes it.
    /// Where services verify the tokens with `authy-client`, set the URL at which they reach the API, which they expect.
    /// Default: `None`, which is the one that the database keeps, or `authy` when it keeps none.
    pub issuer: Option<String>,
    /// The `aud` claim of the tokens.
    pub audience: String,
    /// The signature algorithm of the tokens.
    pub signing_algorithm: SigningAlgorithm,
    /// Lifetime of an access token. At most one day ([`MAX_TOKEN_LIFETIME`](crate::claims::MAX_TOKEN_LIFETIME)).
    pub access_ttl: Duration,
    /// Time after which an unused session ends.
    pub refresh_idle: Duration,
    /// Maximum lifetime of a session, even when it is used.
    pub refresh_absolute: Duration,
    /// Time during which a refresh token that was just exchanged returns the same new token again.
    pub refresh_grace: Duration,
    /// Time for which others may cache the published keys.
    pub jwks_max_age: Duration,
    /// Time for which a key signs before the next one replaces it.
    pub key_rotation: Duration,
    /// Maximum age of the known revocations. When they are older, every token check queries the database.
    pub max_staleness: Duration,
    /// Interval at which the background work tests revocation, by revoking a session that does not exist; `None`
    /// disables the test. When a revocation is not in force within one second, a warning is logged.
    /// [`RevocationFeed::self_test`](crate::engine::RevocationFeed::self_test) returns the last result. Default: `None`.
    pub self_test: Option<Duration>,
    /// Time for which the audit trail is kept, in whole months; `None` keeps it forever.
    pub event_retention: Option<Duration>,
    /// Lifetime of the code that an invited user sets the first password with.
    pub invitation_ttl: Duration,
    /// Whether a user needs a confirmed email address to log in.
    pub require_validated: bool,
    /// Whether an administrator can set the password of a less powerful user. Otherwise the administrator can only send
    /// a reset.
    pub admin_sets_passwords: bool,
    /// The page where users change their password, to which `/.well-known/change-password` redirects.
    pub change_password_url: Option<String>,
    /// Usernames that nobody can sign up with, including names that look like them.
    pub reserved_usernames: Vec<String>,
    /// A file of breached passwords, as Have I Been Pwned publishes them: lines of `SHA1:COUNT`, sorted by hash.
    /// Passwords in the file are refused. When the file cannot be read, a warning is logged and no password is refused
    /// because of it.
    pub pwned_passwords: Option<PathBuf>,
    /// The password hashing.
    pub hash: HashConfig,
    /// Number of database connections for transactions, at least [`MIN_CONNECTIONS`]. Default: 8. Further connections are
    /// four for reads, one that follows revocations, and two for each sink: 13, and two per sink. Behind a pooler in
    /// transaction mode, reads use the connections for transactions.
    pub connections: usize,
    /// Whether there is a connection pooler in front of the database. Default: finds out.
    pub pooler: Pooler,
    /// Tokens of an earlier system that are accepted until they expire; `None` for none.
    pub legacy_tokens: Option<LegacyTokens>,
    /// Whether a hash that the first authy understands is kept, encrypted, for each password that is used or set, so that
    /// [`Authy::export`](crate::Authy::export) can write it back. It is weaker than the one that is verified: an
    /// attacker with the database *and* the master key can guess faster. Set it only while the first authy may have to be started again, and
    /// then call [`Authy::forget_fallback_hashes`](crate::Authy::forget_fallback_hashes).
    pub keep_fallback_hashes: bool,
    /// Maximum time by which the [replica](crate::engine::Builder::replica) may be behind; reads go to the primary when it is more.
    /// Default: 10 seconds.
    pub max_replica_lag: Duration,
}

/// Access tokens of an earlier system, whose users need not log in again after a move. They are JWTs that are signed with
/// HS512 (RFC 7518, section 3.2), with the claims `public_id`, `username` and `exp`.
///
/// Such a token is accepted until it expires, with the level and the roles of the database, by this engine alone:
/// services that verify tokens themselves refuse it. Its first use opens a session, which can be ended like any other. It
/// is void as soon as password, address or roles of its user change, or the user is deleted; and, unless it was used
/// before, as soon as any session of its user is ended. None is ever issued.
#[derive(Clone, Debug)]
pub struct LegacyTokens {
    /// The secret of the earlier system, of any length: anybody who guesses it can forge tokens, so remove it once the last
    /// token has expired.
    pub secret: Secret,
    /// Maximum time that is left until a token expires: those that live longer are refused. At most 30 days; longer
    /// counts as 30 days.
    pub max_lifetime: Duration,
}

/// Minimum of [`Config::connections`]: the maintenance may need one for minutes.
pub const MIN_CONNECTIONS: usize = 2;

/// Names with which a user could pretend to be the operator.
const RESERVED_USERNAMES: &[&str] = &[
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
            // The one of the database, so that every instance on it has the same.
            issuer: None,
            audience: "authy".to_owned(),
            signing_algorithm: SigningAlgorithm::default(),
            // Short, because a service that cannot receive revocations trusts a token until it expires.
            access_ttl: Duration::from_secs(15 * 60),
            // A holiday of two weeks does not end the session.
            refresh_idle: Duration::from_secs(14 * 24 * 3600),
            // A stolen session ends within three months.
            refresh_absolute: Duration::from_secs(90 * 24 * 3600),
            // A client that lost the response retries well within this time.
            refresh_grace: Duration::from_secs(30),
            // Short enough for a new key to be known everywhere within minutes.
            jwks_max_age: Duration::from_secs(300),
            // A key that leaks unnoticed is useful to an attacker for a month at most.
            key_rotation: Duration::from_secs(30 * 24 * 3600),
            // A failover of the database takes less time. A logout that takes longer to arrive would be useless.
            max_staleness: Duration::from_secs(30),
            // It writes a row per test, so a program that embeds the crate has to enable it.
            self_test: None,
            // Deleting an audit trail has to be an explicit decision.
            event_retention: None,
            // Longer than a weekend and a few days off: a program invites its users when it wants, not when they wait
            // for the mail.
            invitation_ttl: Duration::from_secs(7 * 24 * 3600),
            // Without a mail sink, nobody could log in.
            require_validated: false,
            // Users without access to their mailbox need help, too. They are notified of the change.
            admin_sets_passwords: true,
            change_password_url: None,
            reserved_usernames: RESERVED_USERNAMES.iter().map(ToString::to_string).collect(),
            // The file is large and has to be downloaded.
            pwned_passwords: None,
            hash: HashConfig::default(),
            // A small PostgreSQL has few cores: more concurrent transactions do not increase the throughput.
            connections: 8,
            pooler: Pooler::Auto,
            // The secret of the earlier system permits forging a token of any user.
            legacy_tokens: None,
            // A weaker hash beside argon2id has to be an explicit decision.
            keep_fallback_hashes: false,
            // Usually it is behind by milliseconds. Beyond this, a new user would be missing from lists for too long.
            max_replica_lag: Duration::from_secs(10),
        }
    }
}
