//! The engine: everything that needs PostgreSQL or hashes a password.
//!
//! Its layers, from the top. A layer imports only those below it:
//!
//! ```text
//! authy       the API: Authy, its Builder, and Within for transactions of the embedding program
//! background  follows revocations, relays events, rotates keys, deletes expired rows
//! delivery    delivers events to sinks
//! domain      users, roles, sessions, codes, signing keys, limits on guesses; each with its handle and SQL
//! journal     writes with their events, proof of the actor, and the revocation feed
//! config      the configuration
//! storage     connections, statements, migrations      crypto  keys, hashes, passwords
//! ```

pub(crate) mod authy;
mod background;
mod check;
mod config;
mod crypto;
mod delivery;
mod domain;
#[cfg(feature = "fuzz-entry-points")]
#[doc(hidden)]
pub mod fuzz;
mod journal;
mod storage;

/// The pool of [`Authy::pool`], in the version that the engine uses.
pub use deadpool_postgres;
/// The client of PostgreSQL, in the version whose transactions [`Authy::within`] takes.
pub use tokio_postgres;

pub use authy::{
    Authy, Builder, DatabaseReport, InspectedKey, RolesWithin, SessionsWithin, UsersWithin, Within,
    statistics::Statistics,
};
pub use background::{Background, maintenance::MaintenanceReport};
#[cfg(feature = "fuzz-entry-points")]
#[doc(hidden)]
pub use check::statements;
pub use config::{Config, LegacyTokens, MIN_CONNECTIONS};
pub use crypto::{
    hash_config::{Argon2Params, HashConfig, InvalidArgon2Params},
    hasher::statistics::HashStatistics,
    master::MasterKeys,
    password::check_breached_passwords,
};
pub use delivery::{
    Deliveries,
    notification::{Notification, NotificationKind},
    relay::{
        lag::{RelayStatistics, SinkLag},
        stuck::{SinkStatus, StuckCursor, StuckDelivery, StuckPage, StuckQuery, StuckState},
    },
    sink::{Delivery, DeliveryError, Sink},
};
pub use domain::{
    going_back::{
        ExportOptions, ExportProgress,
        report::{ExportNote, ExportNoteKind, ExportReport},
    },
    import::{
        ImportOptions, ImportProgress,
        record::ImportRecord,
        report::{ImportNote, ImportNoteKind, ImportReport},
        source::{FirebaseHash, FirstAuthy, ImportFormat, ImportSource},
    },
    instance::{InstanceReport, InstanceState, InstanceView},
    note::Note,
    recovery::RecoveryReport,
    role::Roles,
    session::{
        AllSessionsEnded, Sessions,
        statistics::{LoginHour, SessionOutcome, SessionStatistics},
    },
    signing_key::{
        SigningKeys,
        rotation::{KeyState, KeyView, ResealReport},
        statistics::KeyStatistics,
    },
    throttle::statistics::GuessStatistics,
    user::{
        Users,
        change::PreparedChange,
        create::PreparedAccount,
        password_reset::{PendingReset, PreparedReset},
        register::Registration,
        wrap::WrapProgress,
    },
};
pub use journal::{
    caller::Caller,
    event::Events,
    revocation::{
        RevocationBatch, RevocationFeed,
        self_test::{SelfTest, SelfTestFailure},
        snapshot::RevocationSnapshot,
        status::DatabaseStatus,
    },
    write::Uncommitted,
};
#[cfg(feature = "dangerous-fault-points")]
pub use storage::fault::{DangerousHold, Track, dangerous_die_at};
pub use storage::{
    connector::check_encryption, count::BoundedCount, db::ConnectionStatistics, migrate::MigrationReport,
    page::ListPage, pooler::Pooler,
};
