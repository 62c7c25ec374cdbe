//! Revocations, and the set of them that every check reads. Pure: no clock, no I/O.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::Hash,
};

use chrono::{DateTime, Utc};

use crate::{
    claims::Token,
    time::{HttpDate, from_unix_seconds, unix_seconds},
};

mod cursor;
mod freshness;
mod server_clock;

pub use cursor::Cursor;
pub use freshness::{Clock, Freshness, Moment, SnapshotClock};
pub use server_clock::ServerClock;

pub use crate::id_hash::IdHash;

wire! {
    /// A group of revoked tokens, in the form in which it is published.
    #[serde(tag = "void", rename_all = "snake_case")]
    #[derive(Eq, Hash)]
    pub enum RevokedTokens {
        /// All tokens of a user whose epoch (`ver`) is older than this one.
        User {
            /// The hash of the user: the first 16 bytes of the SHA-256 of `authy:user:` followed by the claim
            /// `public_id`, base64url.
            user: IdHash,
            /// The oldest epoch that is still valid.
            ver: u64,
        },
        /// All tokens of a session.
        Session {
            /// The hash of the session: the first 16 bytes of the SHA-256 of `authy:session:` followed by the claim
            /// `sid`, base64url.
            session: IdHash,
        },
        /// All tokens that a key signed.
        Key {
            /// The `kid` of the key.
            #[cfg_attr(feature = "schema", schemars(example = &"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"))]
            kid: String,
        },
    }

    /// A group of revoked tokens, and the time when the last of them has expired.
    pub struct Revocation {
        /// The revoked tokens.
        #[serde(flatten)]
        pub tokens: RevokedTokens,
        /// The time after which the revocation is no longer needed.
        #[serde(with = "HttpDate")]
        pub until: DateTime<Utc>,
    }
}

/// All revocations in force. Its size is limited by the number of revocations within the maximum lifetime of a token.
#[derive(Debug, Default)]
pub struct RevocationSet {
    users: HashMap<IdHash, RevokedEpoch>,
    sessions: HashMap<IdHash, Seconds>,
    keys: HashMap<Box<str>, Seconds>,
    // Ordered by expiry, so that removal costs nothing while no entry has expired.
    expiry: BinaryHeap<Reverse<(Seconds, ExpiryEntry)>>,
}

/// Seconds since 1970, valid until 2106. It has half the size of a `u64`, which matters for a million entries.
type Seconds = u32;

#[derive(Debug)]
struct RevokedEpoch {
    ver: u64,
    until: Seconds,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExpiryEntry {
    User(IdHash),
    Session(IdHash),
    Key(Box<str>),
}

impl RevocationSet {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a revocation. Returns whether it was new. Adding it twice, or adding an older one later, changes nothing.
    pub fn insert(&mut self, revocation: &Revocation) -> bool {
        let until = seconds(revocation.until);
        let (newer, grown, entry) = match &revocation.tokens {
            RevokedTokens::User { user, ver } => {
                let epoch = self.users.entry(*user).or_insert(RevokedEpoch { ver: 0, until: 0 });
                let newer = epoch.ver < *ver;
                epoch.ver = epoch.ver.max(*ver);
                (newer, grow(&mut epoch.until, until), ExpiryEntry::User(*user))
            }
            RevokedTokens::Session { session } => {
                (false, grow(self.sessions.entry(*session).or_insert(0), until), ExpiryEntry::Session(*session))
            }
            RevokedTokens::Key { kid } => {
                let kid: Box<str> = kid.as_str().into();
                (false, grow(self.keys.entry(kid.clone()).or_insert(0), until), ExpiryEntry::Key(kid))
            }
        };
        if grown {
            self.expiry.push(Reverse((until, entry)));
        }
        newer || grown
    }

    /// Returns whether all tokens of a session are revoked.
    pub fn revokes_session(&self, session: &IdHash) -> bool {
        self.sessions.contains_key(session)
    }

    /// Returns whether a token is revoked.
    pub fn revokes(&self, token: &Token) -> bool {
        self.sessions.contains_key(&token.session_hash)
            || self.users.get(&token.user_hash).is_some_and(|epoch| token.identity.ver < epoch.ver)
            || self.revokes_key(&token.kid)
    }

    /// Returns whether all tokens that a key signed are revoked.
    pub fn revokes_key(&self, kid: &str) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(kid)
    }

    /// Removes revocations whose tokens have all expired before `now`.
    pub fn forget_before(&mut self, now: DateTime<Utc>) {
        let now = seconds(now);
        while self.expiry.peek().is_some_and(|Reverse((until, _))| *until < now) {
            let Some(Reverse((_, entry))) = self.expiry.pop() else { return };
            // The entry may have been extended meanwhile. In that case it is in the queue once more, with the later
            // time.
            match entry {
                ExpiryEntry::User(user) => forget(&mut self.users, &user, |epoch| epoch.until < now),
                ExpiryEntry::Session(session) => forget(&mut self.sessions, &session, |until| *until < now),
                ExpiryEntry::Key(kid) => forget(&mut self.keys, &kid, |until| *until < now),
            }
        }
    }

    /// Returns all revocations, in no particular order. Several revocations of one user are merged into one with the
    /// newest epoch and the latest expiry.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let until = |until: &Seconds| from_unix_seconds(u64::from(*until));
        let users = self.users.iter().map(move |(user, epoch)| Revocation {
            tokens: RevokedTokens::User { user: *user, ver: epoch.ver },
            until: until(&epoch.until),
        });
        let sessions = self.sessions.iter().map(move |(session, end)| Revocation {
            tokens: RevokedTokens::Session { session: *session },
            until: until(end),
        });
        let keys = self.keys.iter().map(move |(kid, end)| Revocation {
            tokens: RevokedTokens::Key { kid: kid.to_string() },
            until: until(end),
        });
        users.chain(sessions).chain(keys)
    }

    /// Returns the number of revocations.
    pub fn len(&self) -> usize {
        self.users.len() + self.sessions.len() + self.keys.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn seconds(time: DateTime<Utc>) -> Seconds {
    Seconds::try_from(unix_seconds(time)).unwrap_or(Seconds::MAX)
}

fn grow(until: &mut Seconds, to: Seconds) -> bool {
    let grows = *until < to;
    if grows {
        *until = to;
    }
    grows
}

fn forget<K: Hash + Eq, V>(map: &mut HashMap<K, V>, key: &K, over: impl Fn(&V) -> bool) {
    if map.get(key).is_some_and(over) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Identity, Level, SessionId, UserId};

    fn token(public_id: UserId, session_id: SessionId, ver: u64, kid: &str) -> Token {
        let identity = Identity {
            public_id,
            username: None,
            level: Level::clamped(10),
            roles: None,
            ver,
            session_id,
            expires: from_unix_seconds(0),
        };
        Token::new(identity, kid.into())
    }

    #[test]
    fn every_inserted_revocation_is_returned() {
        let revoked = [
            RevokedTokens::User { user: IdHash::of_user(UserId::random()), ver: 3 },
            RevokedTokens::Session { session: IdHash::of_session(SessionId::random()) },
            RevokedTokens::Key { kid: "lost".into() },
        ];
        let mut set = RevocationSet::new();
        assert!(revoked.iter().all(|tokens| set.insert(&revocation(tokens.clone(), 100))));
        assert!(!revoked.iter().any(|tokens| set.insert(&revocation(tokens.clone(), 100))), "it is not new");
        let mut out: Vec<_> = set.iter().collect();
        out.sort_by_key(|revocation| revoked.iter().position(|tokens| *tokens == revocation.tokens));
        assert_eq!(out, revoked.map(|tokens| revocation(tokens, 100)));
    }

    fn revocation(tokens: RevokedTokens, until: u64) -> Revocation {
        Revocation { tokens, until: from_unix_seconds(until) }
    }

    #[test]
    fn a_revocation_revokes_its_tokens_and_no_others() {
        let (user, session) = (UserId::random(), SessionId::random());
        let mut set = RevocationSet::new();
        set.insert(&revocation(RevokedTokens::User { user: IdHash::of_user(user), ver: 3 }, 100));
        set.insert(&revocation(RevokedTokens::Session { session: IdHash::of_session(session) }, 100));
        set.insert(&revocation(RevokedTokens::Key { kid: "lost".into() }, 100));
        assert!(set.revokes(&token(user, SessionId::random(), 2, "good")));
        assert!(!set.revokes(&token(user, SessionId::random(), 3, "good")));
        assert!(set.revokes(&token(UserId::random(), session, 1, "good")));
        assert!(set.revokes(&token(UserId::random(), SessionId::random(), 1, "lost")));
        assert!(!set.revokes(&token(UserId::random(), SessionId::random(), 1, "good")));
    }

    #[test]
    fn the_wire_form_is_flat() {
        let session = IdHash::of_session(SessionId::random());
        let json = serde_json::to_value(revocation(RevokedTokens::Session { session }, 1_560_247_389)).unwrap();
        let expected = serde_json::json!({
            "void": "session", "session": session, "until": "Tue, 11 Jun 2019 10:03:09 GMT",
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Revocation>(json).unwrap().tokens, RevokedTokens::Session { session });
    }

    proptest! {
        /// The order and repetitions make no difference: the newest epoch and the latest expiry count.
        #[test]
        fn order_and_repetition_do_not_matter(
            mut rows in prop::collection::vec((0..3_usize, 1..5_u64, 1..50_u64), 1..30),
            now in 0..60_u64,
        ) {
            let users = [UserId::random(), UserId::random(), UserId::random()];
            let build = |rows: &[(usize, u64, u64)]| {
                let mut set = RevocationSet::new();
                for (user, ver, until) in rows {
                    set.insert(&revocation(RevokedTokens::User { user: IdHash::of_user(users[*user]), ver: *ver }, *until));
                }
                set.forget_before(from_unix_seconds(now));
                set
            };
            let forward = build(&rows);
            rows.reverse();
            rows.extend(rows.clone());
            let backward = build(&rows);
            prop_assert_eq!(forward.len(), backward.len());
            for (number, user) in users.into_iter().enumerate() {
                let of_user: Vec<_> = rows.iter().filter(|row| row.0 == number).collect();
                let live = of_user.iter().any(|row| row.2 >= now);
                let newest = of_user.iter().map(|row| row.1).max().unwrap_or(0);
                for ver in 0..6 {
                    let token = token(user, SessionId::random(), ver, "key");
                    prop_assert_eq!(forward.revokes(&token), live && ver < newest);
                    prop_assert_eq!(backward.revokes(&token), live && ver < newest);
                }
            }
        }
    }
}
