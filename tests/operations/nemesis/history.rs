//! The history of a run: every operation, every sighting of a token, every fault, and what was there at the end.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use serde::Serialize;

/// Microseconds since the beginning of the run.
pub(super) type Micros = u64;

/// Everything that the checker knows.
#[derive(Default)]
pub(super) struct History {
    pub(super) operations: Vec<Operation>,
    pub(super) sightings: Vec<Sighting>,
    pub(super) faults: Vec<Fault>,
    /// When the machine did not let the test itself run in time, which is nobody's fault: from when until when.
    pub(super) stalls: Vec<(Micros, Micros)>,
    /// Whether an instance has noticed that the database had lost what was committed.
    pub(super) noticed_loss: bool,
    /// The audit trail of the database at the end.
    pub(super) trail: Vec<Event>,
    /// The messages of the broker, in their order, with repetitions.
    pub(super) messages: Vec<Event>,
    /// The users in the database at the end, by name.
    pub(super) users: BTreeMap<String, UserRow>,
    /// The sessions in the database at the end.
    pub(super) sessions: BTreeMap<String, SessionRow>,
}

/// A request of a client, from its first byte to its answer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Operation {
    /// The number of the operation; its request id is [`request_id`].
    pub(super) id: u64,
    /// The client of the load; `None` for a check of a token that is watched, which is recorded when it fails.
    pub(super) client: Option<usize>,
    pub(super) instance: usize,
    pub(super) action: Action,
    /// The operation that issued the token that was sent along.
    pub(super) token: Option<u64>,
    pub(super) began: Micros,
    pub(super) ended: Micros,
    pub(super) outcome: Outcome,
}

/// The request id of an operation.
pub(super) fn request_id(operation: u64) -> String {
    format!("nemesis-{operation}")
}

/// What is asked for. Users are named by their usernames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) enum Action {
    SignUp { user: String },
    Login { user: String },
    Refresh { user: String, session: String, generation: u64 },
    Logout { user: String, session: String },
    Check { user: String },
    Grant { user: String },
    Revoke { user: String },
    Delete { user: String },
}

impl Action {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::SignUp { .. } => "sign-up",
            Self::Login { .. } => "login",
            Self::Refresh { .. } => "refresh",
            Self::Logout { .. } => "logout",
            Self::Check { .. } => "check",
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::Delete { .. } => "delete",
        }
    }

    /// The user whom it is about.
    pub(super) fn user(&self) -> &str {
        let (Self::SignUp { user }
        | Self::Login { user }
        | Self::Refresh { user, .. }
        | Self::Logout { user, .. }
        | Self::Check { user }
        | Self::Grant { user }
        | Self::Revoke { user }
        | Self::Delete { user }) = self;
        user
    }

    /// Whether it writes when it is done.
    pub(super) fn writes(&self) -> bool {
        !matches!(self, Self::Check { .. })
    }
}

/// How an operation ended for its client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) enum Outcome {
    /// It was acknowledged, with these tokens when it issues some.
    Done(Option<Issued>),
    /// It was refused with a 4xx.
    Refused { status: u16, code: String },
    /// It was answered with a 5xx.
    Failed { status: u16, code: String, has_retry_after: bool },
    /// It was not answered in time, or the connection broke.
    Unanswered { why: String },
}

impl Outcome {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Done(_) => "done".to_owned(),
            Self::Refused { status, .. } | Self::Failed { status, .. } => status.to_string(),
            Self::Unanswered { .. } => "unanswered".to_owned(),
        }
    }

    /// Whether it may have had its effect, at any time since it began.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Unanswered { .. })
    }
}

/// Tokens that were issued.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Issued {
    pub(super) session: String,
    /// The number of refreshes of the session.
    pub(super) generation: u64,
    /// A digest of the refresh token.
    pub(super) refresh_token: String,
}

impl Operation {
    pub(super) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_))
    }

    pub(super) fn issued(&self) -> Option<&Issued> {
        match &self.outcome {
            Outcome::Done(issued) => issued.as_ref(),
            _ => None,
        }
    }
}

/// Who checks a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Checker {
    Instance(usize),
    Verifier(usize),
}

/// What a checker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Verdict {
    Accepted,
    /// 401.
    Refused,
    /// 503.
    CannotTell,
    Unanswered,
}

/// A token that one checker saw several times in a row, with the same verdict.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sighting {
    /// The operation that issued the token.
    pub(super) token: u64,
    pub(super) by: Checker,
    pub(super) verdict: Verdict,
    pub(super) times: u32,
    /// When the first of these checks ended.
    pub(super) first: Micros,
    /// When the last of these checks began.
    pub(super) last: Micros,
    /// For a verifier: up to which moment it knew all revocations, by its own account, at the latest.
    pub(super) knew_until: Option<Micros>,
    /// For a verifier: the greatest age of what it knew, in microseconds, both before and after a check.
    pub(super) staleness: Option<Micros>,
}

/// A fault, from its beginning until everything was repaired.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fault {
    pub(super) name: String,
    pub(super) began: Micros,
    pub(super) ended: Micros,
    /// From when until when an acknowledged write may be lost, for an asynchronous failover.
    pub(super) may_lose: Option<(Micros, Micros)>,
}

/// An event of the audit trail, or its message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Event {
    pub(super) event_id: String,
    pub(super) kind: String,
    pub(super) subject: Option<String>,
    pub(super) request_id: Option<String>,
}

impl Event {
    /// The operation that caused it.
    pub(super) fn operation(&self) -> Option<u64> {
        self.request_id.as_deref()?.strip_prefix("nemesis-")?.parse().ok()
    }
}

/// A user in the database.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UserRow {
    pub(super) is_deleted: bool,
    /// Whether the user has the role that is granted and revoked.
    pub(super) has_role: bool,
}

/// A session in the database.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SessionRow {
    pub(super) has_ended: bool,
    pub(super) generation: u64,
}

impl History {
    /// Writes everything as JSON, one thing a line.
    pub(super) fn save(&self, path: &Path) {
        let mut file = BufWriter::new(File::create(path).unwrap());
        let mut lines = |kind: &str, lines: Vec<serde_json::Value>| {
            for line in lines {
                writeln!(file, "{}", serde_json::json!({ kind: line })).unwrap();
            }
        };
        lines("fault", values(&self.faults));
        lines("stall", values(&self.stalls));
        lines("operation", values(&self.operations));
        lines("sighting", values(&self.sightings));
        lines("event", values(&self.trail));
        lines("message", values(&self.messages));
        lines("user", values(&self.users.iter().collect::<Vec<_>>()));
        lines("session", values(&self.sessions.iter().collect::<Vec<_>>()));
    }
}

fn values<T: Serialize>(all: &[T]) -> Vec<serde_json::Value> {
    all.iter().map(|one| serde_json::to_value(one).unwrap()).collect()
}
