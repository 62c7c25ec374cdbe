//! A row of the source that can be imported: its values are checked, and nothing is known of other users yet.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    record::{ImportRecord, SourceRow},
    report::{
        ImportNoteKind::{self, *},
        ImportReport,
    },
    roles::RoleMap,
    source::Reader,
};
use crate::{
    Email, Error, ErrorKind, Result, Secret, UserId, Username,
    engine::{
        crypto::{
            digest::digest_of,
            password::stored::{classify, password_digest},
        },
        domain::user::RELEASED_KEY_PREFIX,
    },
    name::Stored as _,
};

/// Maximum length of a key in bytes: an index row has at most 2,704, and the key of a collision is longer than that of
/// the name.
const MAX_KEY: usize = 2000;

/// The beginning of the ID in the source of a row without an ID: the digest of the name follows. Also in the statements.
pub(super) const NAME_PREFIX: &str = "name:";

/// Maximum length of the ID in the source, in bytes.
const MAX_SOURCE_ID: usize = 500;

/// A user to be imported.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) source_id: String,
    /// What the notes call the row: the ID in the source or, without one, the place.
    pub(super) row: String,
    /// The public ID that is kept.
    pub(super) public_id: Option<UserId>,
    pub(super) username: Username,
    pub(super) username_key: String,
    pub(super) email: Option<(Email, String)>,
    pub(super) phc: Option<Secret>,
    pub(super) created: DateTime<Utc>,
    pub(super) last_login: Option<DateTime<Utc>>,
    pub(super) validated_at: Option<DateTime<Utc>>,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    /// In ascending order.
    pub(super) roles: Vec<i32>,
    pub(super) digests: Digests,
}

/// Digests of a user in the source.
#[derive(Clone)]
pub(super) struct Digests {
    /// Of everything, but of the password only what `password` is of.
    pub(super) all: Vec<u8>,
    pub(super) password: Vec<u8>,
    pub(super) email: Vec<u8>,
}

/// What the rows of a source have in common.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) roles: Arc<RoleMap>,
    /// Whether every user must have a public ID.
    pub(super) needs_public_id: bool,
    /// Whether users who have a name log in there with it or with their address.
    pub(super) accepts_addresses: bool,
}

/// Rows that were checked: those that can be imported, and the report about all of them.
pub(super) struct Checked {
    pub(super) candidates: Vec<Candidate>,
    pub(super) report: ImportReport,
}

/// Reads the next rows of a source, at most `limit`, and checks them. `None` at the end.
pub(super) async fn read(reader: &mut Reader, limit: usize, rules: &Rules) -> Result<Option<Checked>> {
    let rows = reader.next(limit).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let rules = rules.clone();
    // On another thread, so that the batch before this one is written meanwhile.
    let checked = spawn_blocking(move || {
        let mut report = ImportReport::default();
        let candidates = rows.into_iter().filter_map(|row| Candidate::new(row, &rules, &mut report)).collect();
        Checked { candidates, report }
    });
    checked.await.map(Some).map_err(|cause| Error::with_source(ErrorKind::Internal, "rows could not be checked", cause))
}

impl Candidate {
    /// Returns what the notes about other rows call the user: the ID in the source or, without one, the name.
    pub(super) fn holder(&self) -> &str {
        match self.source_id.starts_with(NAME_PREFIX) {
            true => self.username.as_str(),
            false => &self.source_id,
        }
    }

    /// Checks a row. `None` when it is refused; the report says why.
    fn new(row: SourceRow, rules: &Rules, report: &mut ImportReport) -> Option<Self> {
        report.read += 1;
        let checked = check(row, rules, report);
        if checked.is_none() {
            report.refused += 1;
        }
        checked
    }
}

fn check(SourceRow { place, record }: SourceRow, rules: &Rules, report: &mut ImportReport) -> Option<Candidate> {
    let record = match record {
        Ok(record) => record,
        Err(skipped) => {
            report.note(skipped.kind, &place, skipped.reason);
            return None;
        }
    };
    let phc = usable_hash(&place, record.password_hash.as_ref(), report);
    let mut refuse = |kind: ImportNoteKind, message: &str| {
        report.note(kind, &place, message);
        None
    };
    let public_id = match record.public_id.as_deref().map(canonical) {
        Some(Some(id)) => Some(id),
        Some(None) => {
            let message = "the public ID is not a UUID in lower case with dashes: the row is left out";
            return refuse(InvalidPublicId, message);
        }
        None if rules.needs_public_id => {
            return refuse(InvalidPublicId, "there is no public ID: the row is left out");
        }
        None => None,
    };
    let Some(name) = record.username.as_deref().filter(|name| !name.is_empty()) else {
        return refuse(InvalidUsername, "there is no username: the row is left out");
    };
    let Ok(username) = Username::existing(name) else {
        let message = "the username has a NUL or more than 255 bytes: the row is left out";
        return refuse(InvalidUsername, message);
    };
    let username_key = username.key();
    let source_id = source_id(&record, public_id, name);
    if username_key.len() > MAX_KEY || source_id.len() > MAX_SOURCE_ID {
        return refuse(InvalidUsername, "the username or the ID is too long: the row is left out");
    }
    if let Some(id) = public_id.filter(|id| id.as_uuid().get_version_num() != 4) {
        let version = id.as_uuid().get_version_num();
        let message =
            format!("the public ID is a UUID of version {version}: it is kept, but other services may refuse it");
        report.note(PublicIdVersion, &place, message);
    }
    let email = email(&place, record.email.as_deref(), report);
    if rules.accepts_addresses && record.email.as_ref().is_some_and(|email| *email != name) {
        let message = format!("logs in with the name {name:?} only: there the address was accepted, too");
        report.note(NotByAddress, &place, message);
    }
    let times = times(&place, &record, report);
    let roles = roles(&place, &record, &rules.roles, report);
    let password = password_digest(phc.as_ref().map(Secret::expose));
    let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
    let digests = Digests {
        all: digest_of(&(
            (name, &record.email, &password, record.validated, record.deleted),
            (micros(Some(times.created)), micros(times.last_login), micros(times.deleted_at), &roles),
        )),
        password,
        email: digest_of(&record.email),
    };
    Some(Candidate {
        source_id,
        row: place,
        public_id,
        username,
        username_key,
        email,
        phc,
        created: times.created,
        last_login: times.last_login,
        validated_at: record.validated.then_some(times.created),
        deleted_at: times.deleted_at,
        roles,
        digests,
    })
}

/// Returns a public ID in its only spelling. The nil and the max UUID identify nobody.
fn canonical(text: &str) -> Option<UserId> {
    let id: UserId = text.parse().ok()?;
    (!id.as_uuid().is_nil() && !id.as_uuid().is_max()).then_some(id)
}

/// Returns the ID in the source. Without one it is the exact spelling of the name: two spellings are two users. It is stored as a
/// digest, which an erasure replaces by a keyed one.
fn source_id(record: &ImportRecord, public_id: Option<UserId>, name: &str) -> String {
    match (&record.id, public_id) {
        (Some(id), _) => id.clone(),
        (None, Some(id)) => id.to_string(),
        (None, None) => format!("{NAME_PREFIX}{}", hex::encode(digest_of(&name))),
    }
}

fn usable_hash(place: &str, hash: Option<&Secret>, report: &mut ImportReport) -> Option<Secret> {
    // PostgreSQL stores no NUL, and no format has one.
    let Some(hash) = hash.filter(|hash| !hash.expose().contains('\0')) else {
        report.count_hash("none");
        return None;
    };
    match classify(hash.expose()) {
        Ok(format) => {
            report.count_hash(format.name());
            Some(hash.clone())
        }
        Err(reason) => {
            report.count_hash(&format!("unusable: {reason}"));
            let message = format!("the password hash cannot be used ({reason}): the user has to set a new password");
            report.note(UnusablePassword, place, message);
            None
        }
    }
}

fn email(place: &str, email: Option<&str>, report: &mut ImportReport) -> Option<(Email, String)> {
    let email = email.filter(|email| !email.is_empty() && !email.contains('\0'));
    let keyed = email.map(|email| Email::stored(email.to_owned())).map(|email| {
        let key = email.key();
        (email, key)
    });
    let Some((email, key)) = keyed.filter(|(email, key)| email.as_str().len().max(key.len()) <= MAX_KEY) else {
        report.note(NoEmail, place, "there is no address that can be stored: a new user gets a placeholder");
        return None;
    };
    if key.starts_with(RELEASED_KEY_PREFIX) {
        let message =
            format!("an address that begins with {RELEASED_KEY_PREFIX} cannot be stored: the user gets a placeholder");
        report.note(EmailReserved, place, message);
        return None;
    }
    if email.addr_spec().is_err() {
        report.note(EmailUnusable, place, "no mail can be sent to the address: it is kept as it is");
    }
    Some((email, key))
}

struct Times {
    created: DateTime<Utc>,
    last_login: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
}

fn times(place: &str, record: &ImportRecord, report: &mut ImportReport) -> Times {
    // PostgreSQL stores microseconds.
    let known = |time: Option<DateTime<Utc>>| {
        time.filter(|time| (1..=9999).contains(&time.year())).map(|time| time.trunc_subsecs(6))
    };
    let created = known(record.created).unwrap_or_else(|| {
        report.note(TimeOutOfRange, place, "the time of the sign-up is missing or out of range: 1970 is taken");
        DateTime::UNIX_EPOCH
    });
    let last_login = known(record.last_login);
    if record.last_login.is_some() && last_login.is_none() {
        report.note(TimeOutOfRange, place, "the time of the last login is out of range: it is left out");
    }
    let deleted_at = match (record.deleted, record.delete_date, known(record.delete_date)) {
        (true, _, Some(date)) => Some(date),
        (true, unusable, None) => {
            let (kind, why) = match unusable {
                Some(_) => (TimeOutOfRange, "at a time that is out of range"),
                None => (DeletedWithoutDate, "without a date"),
            };
            let message = format!("the user is deleted, {why}: the time of the last login or the sign-up is taken");
            report.note(kind, place, message);
            Some(last_login.unwrap_or(created).max(created))
        }
        (false, Some(_), _) => {
            report.note(DateWithoutDeleted, place, "there is a date of a deletion, but the user is not deleted");
            None
        }
        (false, None, _) => None,
    };
    Times { created, last_login, deleted_at }
}

fn roles(place: &str, record: &ImportRecord, map: &RoleMap, report: &mut ImportReport) -> Vec<i32> {
    let Some(keys) = &record.roles else { return map.default_role().into_iter().collect() };
    let mut roles = Vec::with_capacity(keys.len());
    for key in keys {
        match map.find(key) {
            Some(role) => roles.push(role),
            None if map.is_left_out(key) => {
                report.note(MembershipDropped, place, "the user has a role that is not imported");
            }
            None => {
                let message = format!("there is no role {key:?}: create it and import again, or map it to another");
                report.note(UnknownRole, place, message);
            }
        }
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Returns the ID of a new user.
pub(super) fn id_of(candidate: &Candidate) -> UserId {
    candidate.public_id.unwrap_or_else(|| Uuid::new_v4().into())
}
