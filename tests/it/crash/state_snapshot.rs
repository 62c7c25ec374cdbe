//! The state that the events describe, and the state in the tables: equal, or a write is half done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

/// Users, sessions, roles, codes and revocations at one moment.
#[derive(Debug, Default, PartialEq)]
pub(super) struct StateSnapshot {
    users: BTreeMap<Uuid, User>,
    sessions: BTreeMap<Uuid, Session>,
    roles: BTreeSet<String>,
    void_sessions: BTreeSet<Uuid>,
    void_epochs: BTreeSet<(Uuid, i64)>,
    codes: BTreeMap<Uuid, (Uuid, String)>,
}

#[derive(Debug, Default, PartialEq)]
struct User {
    roles: BTreeSet<String>,
    ver: i64,
    is_deleted: bool,
    is_erased: bool,
    is_validated: bool,
    has_logged_in: bool,
    has_password: bool,
    /// Not those of the sign-up.
    has_new_password: bool,
    has_new_email: bool,
}

#[derive(Debug, Default, PartialEq)]
struct Session {
    user: Uuid,
    generation: i64,
    has_ended: bool,
}

/// Asserts that every event has its effect and every effect its event.
pub(super) async fn assert_events_match_tables(sql: &Client, when: &str) {
    let (events, tables) = (from_events(sql).await, from_tables(sql).await);
    assert_eq!(events, tables, "{when}: the events describe (left) what the tables do not contain (right)");
}

/// Returns the state that the events describe.
async fn from_events(sql: &Client) -> StateSnapshot {
    let mut snapshot = StateSnapshot::default();
    let query = "SELECT kind, actor, subject, session_id, detail FROM authy.event ORDER BY happened, event_id";
    for row in sql.query(query, &[]).await.unwrap() {
        let (kind, detail): (String, Value) = (row.get("kind"), row.get("detail"));
        let [actor, subject, session] = ["actor", "subject", "session_id"].map(|column| row.get(column));
        snapshot.apply(&kind, actor, subject, session, &detail);
    }
    snapshot
}

impl StateSnapshot {
    fn apply(&mut self, kind: &str, actor: Option<Uuid>, subject: Option<Uuid>, session: Option<Uuid>, detail: &Value) {
        let role = || detail["role"].as_str().unwrap().to_owned();
        match kind {
            "user.registered" => {
                // The creator vouches for the address, or a code confirms it: its own, or that of the invitation.
                let (is_validated, has_password) = (detail["validated"] == true, detail["invited"] != true);
                let has_code = self.take_code(subject, "validate", detail).is_some();
                assert_eq!(has_code, !is_validated && has_password, "{detail}");
                let roles = BTreeSet::from([role()]);
                let user = User { roles, ver: 1, has_password, is_validated, ..User::default() };
                assert!(self.users.insert(subject.unwrap(), user).is_none(), "registered twice");
            }
            "validation.requested" => {
                self.revoke_codes(subject, Some("validate"));
                self.take_code(subject, "validate", detail).expect("a code");
            }
            "email.requested" => {
                self.revoke_codes(subject, Some("email"));
                self.take_code(subject, "email", detail).expect("a code");
            }
            "reset.requested" => {
                self.take_code(subject, "reset", detail).expect("a code");
            }
            "user.validated" => {
                self.user(subject).is_validated = true;
                self.revoke_codes(subject, Some("validate"));
            }
            "password.changed" => {
                let user = self.user(subject);
                (user.has_password, user.has_new_password) = (true, true);
                // Who has the code has the mailbox.
                user.is_validated |= detail["reset"] == true;
                self.begin_epoch(subject.unwrap());
                let is_own = actor == subject;
                self.end(|id, of| Some(of.user) == subject && !(is_own && Some(id) == session));
            }
            "email.changed" => {
                let user = self.user(subject);
                (user.has_new_email, user.is_validated) = (true, true);
                self.begin_epoch(subject.unwrap());
            }
            "email.released" => {
                self.user(subject).has_new_email = true;
                self.begin_epoch(subject.unwrap());
                self.end(|_, session| Some(session.user) == subject);
            }
            "user.restored" => {
                self.user(subject).is_deleted = false;
                self.begin_epoch(subject.unwrap());
            }
            "user.erased" => {
                self.begin_epoch(subject.unwrap());
                self.end(|_, session| Some(session.user) == subject);
                let user = self.user(subject);
                *user =
                    User { ver: user.ver, is_deleted: true, is_erased: true, has_new_email: true, ..User::default() };
            }
            "user.deleted" => {
                self.user(subject).is_deleted = true;
                self.begin_epoch(subject.unwrap());
                self.end(|_, session| Some(session.user) == subject);
            }
            "role.granted" => {
                assert!(self.user(subject).roles.insert(role()), "granted twice");
                self.begin_epoch(subject.unwrap());
            }
            "role.revoked" => {
                assert!(self.user(subject).roles.remove(&role()), "revoked twice");
                self.begin_epoch(subject.unwrap());
            }
            "session.opened" => {
                // The first use of a token of an earlier system is no login.
                self.user(subject).has_logged_in |= detail["legacy"] != true;
                let opened = Session { user: subject.unwrap(), ..Session::default() };
                assert!(self.sessions.insert(session.unwrap(), opened).is_none(), "opened twice");
            }
            "session.refreshed" => {
                let generation = detail["generation"].as_i64().unwrap();
                let session = self.sessions.get_mut(&session.unwrap()).expect("no session was refreshed");
                // The same once more, or the next: nothing is left out.
                assert!([session.generation, session.generation + 1].contains(&generation), "{session:?} {generation}");
                session.generation = generation;
            }
            "session.ended" | "session.replayed" => {
                let ended = self.end(|id, _| Some(id) == session);
                assert_eq!(ended.len(), 1, "ended twice, or never opened");
                self.void_sessions.extend(ended);
            }
            // All but one's own, or all of a user's by another user.
            "sessions.ended" if actor == subject => {
                let ended = self.end(|id, of| Some(of.user) == subject && Some(id) != session);
                assert!(!ended.is_empty(), "an event without an effect");
                self.void_sessions.extend(ended);
            }
            "sessions.ended" => {
                self.begin_epoch(subject.unwrap());
                self.end(|_, session| Some(session.user) == subject);
            }
            "role.created" => assert!(self.roles.insert(role()), "made twice"),
            "role.deleted" => assert!(self.roles.remove(&role()), "deleted twice"),
            "issuer.changed" | "export.started" | "export.finished" | "fallback_hashes.forgotten" => {}
            _ => assert!(kind.starts_with("key."), "{kind}"),
        }
    }

    fn user(&mut self, id: Option<Uuid>) -> &mut User {
        self.users.get_mut(&id.unwrap()).expect("an event of a user who never registered")
    }

    /// Adds the code that an event names.
    fn take_code(&mut self, user: Option<Uuid>, purpose: &str, detail: &Value) -> Option<Uuid> {
        let code = detail["code_id"].as_str()?.parse().unwrap();
        self.codes.insert(code, (user.unwrap(), purpose.to_owned()));
        Some(code)
    }

    fn revoke_codes(&mut self, user: Option<Uuid>, purpose: Option<&str>) {
        self.codes.retain(|_, (of, its)| Some(*of) != user || purpose.is_some_and(|purpose| its != purpose));
    }

    /// Revokes every older token and every code. Tokens are revoked only where there is a session.
    fn begin_epoch(&mut self, user: Uuid) {
        self.revoke_codes(Some(user), None);
        let ver = self.user(Some(user)).ver + 1;
        self.user(Some(user)).ver = ver;
        if self.sessions.values().any(|session| session.user == user) {
            self.void_epochs.insert((user, ver));
        }
    }

    fn end(&mut self, which: impl Fn(Uuid, &Session) -> bool) -> Vec<Uuid> {
        let live = self.sessions.iter_mut().filter(|(id, session)| !session.has_ended && which(**id, session));
        live.map(|(id, session)| {
            session.has_ended = true;
            *id
        })
        .collect()
    }
}

/// Returns the state in the tables.
async fn from_tables(sql: &Client) -> StateSnapshot {
    let rows = async |query: &str| sql.query(query, &[]).await.unwrap();
    let users = rows(
        "SELECT public_id, ver, deleted_at IS NOT NULL, last_login IS NOT NULL, phc IS NOT NULL,
                ARRAY(SELECT name FROM authy.user_role JOIN authy.role USING (role_id) WHERE user_role.user_id = public_id),
                erased_at IS NOT NULL, validated_at IS NOT NULL, coalesce(password.changed > created, false),
                email <> regexp_replace(username, '^rival-', '') || '@example.org'
         FROM authy.users LEFT JOIN authy.password ON user_id = public_id",
    );
    let users = users.await.into_iter().map(|row| {
        let user = User {
            ver: row.get(1),
            is_deleted: row.get(2),
            has_logged_in: row.get(3),
            has_password: row.get(4),
            roles: row.get::<_, Vec<String>>(5).into_iter().collect(),
            is_erased: row.get(6),
            is_validated: row.get(7),
            has_new_password: row.get(8),
            has_new_email: row.get(9),
        };
        (row.get(0), user)
    });
    let sessions = rows("SELECT session_id, user_id, generation, ended_at IS NOT NULL FROM authy.session").await;
    let sessions = sessions
        .into_iter()
        .map(|row| (row.get(0), Session { user: row.get(1), generation: row.get(2), has_ended: row.get(3) }));
    let mut snapshot =
        StateSnapshot { users: users.collect(), sessions: sessions.collect(), ..StateSnapshot::default() };
    snapshot.roles = rows("SELECT name FROM authy.role WHERE NOT seeded").await.iter().map(|row| row.get(0)).collect();
    let codes = rows("SELECT code_id, user_id, purpose FROM authy.code").await;
    snapshot.codes = codes.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    for row in rows("SELECT session_id, user_id, ver FROM authy.revocation WHERE kid IS NULL").await {
        let is_new = match row.get::<_, Option<Uuid>>(0) {
            Some(session) => snapshot.void_sessions.insert(session),
            None => snapshot.void_epochs.insert((row.get(1), row.get(2))),
        };
        assert!(is_new, "revoked twice: {row:?}");
    }
    snapshot
}
