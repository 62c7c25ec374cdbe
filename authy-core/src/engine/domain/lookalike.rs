//! Names that look like another: nobody signs up with one that could be read as a reserved name or as that of an administrator.
//!
//! Two names look alike when they have a skeleton in common: that of UTS 39, closed under case folding, without separators.

use std::collections::{BTreeSet, HashSet};

use tokio_postgres::Transaction;
use unicode_security::{UNICODE_VERSION, skeleton};
use uuid::Uuid;

use crate::{
    Error, ErrorKind, Invalid, Level, Result, UserId, Username,
    access::ADMIN,
    engine::{
        journal::{actor::no_such_user, caller::Caller},
        storage::{connector::db_error, db::Db, row::stored},
    },
    name::identifier::caseless,
};

pub(in crate::engine) mod sql;

/// The rule by which skeletons are made, next to the version of Unicode's tables. It changes with [`closed`].
const RULE: u32 = 1;

/// The level of administrators: the names of users with this level or a smaller one are compared.
pub(in crate::engine) const ADMINISTRATOR: i32 = ADMIN.cast_signed();

/// Maximum number of characters of a skeleton that are compared: with four bytes each they fit into a row of an index, which
/// has at most 2,704 bytes. No name of today's rule comes near.
const LONGEST: usize = 600;

/// How many administrators are looked up at a time to store their skeletons: a few seconds' work at most.
const BATCH: i64 = 500;

/// Returns the skeletons of a name: as it is written, and without regard to case. Most names have one.
pub(in crate::engine) fn skeletons(name: &Username) -> Vec<String> {
    let forms = [closed(name.as_str()), closed(&name.key())];
    BTreeSet::from(forms).into_iter().collect()
}

/// Returns the skeleton of a text, closed under case folding: names are compared without regard to case, so what looks like a letter
/// looks like its capital, too.
fn closed(text: &str) -> String {
    let letters: String = text.chars().filter(|c| !matches!(c, '.' | '_' | '-')).collect();
    // UTS 39 has 0 look like O, and 1 like l.
    let folded = caseless(&skeleton(&letters).collect::<String>());
    let alike: String = skeleton(&folded).collect();
    // I is the capital of i and looks like l. A dot above an i does not show: the capital İ is folded to that.
    alike.replace("i\u{307}", "i").replace('i', "l").chars().take(LONGEST).collect()
}

/// Returns the error that refuses a name: the same for a reserved name and one that looks like an administrator's.
pub(in crate::engine) fn refused() -> Error {
    let field = Invalid::new("reserved", "is reserved, or looks like another name").of("username");
    Error::new(ErrorKind::AlreadyRegistered, "this username is reserved, or looks like another").with_field(field)
}

/// Returns the name of the rule in force.
fn rule() -> String {
    let (major, minor, update) = UNICODE_VERSION;
    format!("{major}.{minor}.{update}/{RULE}")
}

/// The reserved names, by what they look like.
pub(in crate::engine) struct ReservedNames(HashSet<String>);

impl ReservedNames {
    pub(in crate::engine) fn new(names: &[String]) -> Self {
        let names = names.iter().filter_map(|name| Username::existing(name).ok());
        Self(names.flat_map(|name| skeletons(&name)).collect())
    }

    /// Returns the skeletons of a new name, unless it looks like a reserved name or an administrator's. An operator may use any
    /// name: nothing is compared, and there are no skeletons.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyRegistered`].
    pub(in crate::engine) async fn require_distinct(
        &self,
        db: &Db,
        caller: &Caller,
        name: &Username,
    ) -> Result<Vec<String>> {
        if caller.is_operator() {
            return Ok(Vec::new());
        }
        let skeletons = skeletons(name);
        if skeletons.iter().any(|skeleton| self.0.contains(skeleton)) {
            return Err(refused());
        }
        let found = db.read_opt(&sql::LOOKS_LIKE_ADMINISTRATOR, &[&skeletons, &ADMINISTRATOR]).await?;
        found.map_or(Ok(skeletons), |_| Err(refused()))
    }
}

/// Stores the skeletons of administrators who became one before there was this rule, or by a program with an older one.
pub(in crate::engine) async fn fill_in(db: &Db) -> Result<()> {
    db.write_quietly(&sql::FORGET_LOOKALIKES, &[]).await?;
    let rule = rule();
    loop {
        let rows = db.read(&sql::LIST_UNPROTECTED, &[&ADMINISTRATOR, &rule, &BATCH]).await?;
        for row in &rows {
            let skeletons = skeletons(&stored(row, "username"));
            db.write_quietly(&sql::PROTECT, &[&row.get::<_, Uuid>("public_id"), &skeletons, &rule]).await?;
        }
        if rows.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// Stores the skeletons of a user who is given a role, when it makes the user an administrator, so that no other name may look
/// alike.
pub(in crate::engine) async fn protect(tx: &Transaction<'_>, user: UserId, role: Level) -> Result<()> {
    if role.get() > ADMIN {
        return Ok(());
    }
    let row = sql::FIND_NAME.row(tx, &[user.as_uuid()]).await?.ok_or_else(no_such_user)?;
    let skeletons = skeletons(&stored(&row, "username"));
    sql::PROTECT.execute(tx, &[user.as_uuid(), &skeletons, &rule()]).await.map(drop).map_err(db_error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Stored as _;

    fn alike(one: &str, other: &str) -> bool {
        let of = |name| skeletons(&Username::existing(name).unwrap());
        of(one).iter().any(|skeleton| of(other).contains(skeleton))
    }

    #[test]
    fn what_people_read_as_the_same_is_alike() {
        for name in [
            "Admin",
            "ADMIN",
            "a.d.m.i.n",
            "ad-min",
            "ad_min",
            "admın",
            "ADMİN",
            "аdmin",
            "аԁⅿіn",
            "adm1n",
            "AdmlN",
            "admln",
            "adrnin",
            "ａｄｍｉｎ",
            "𝐚𝐝𝐦𝐢𝐧",
            "admin\u{200d}",
        ] {
            assert!(alike(name, "admin"), "{name}: {:?}", skeletons(&Username::existing(name).unwrap()));
        }
        for (name, other) in [("supp0rt", "support"), ("r00t", "root"), ("АРІ", "api"), ("ТЕАМ", "team")] {
            assert!(alike(name, other), "{name}: {:?}", skeletons(&Username::existing(name).unwrap()));
        }
    }

    #[test]
    fn what_people_read_as_another_name_is_not_alike() {
        for (name, other) in [
            ("administration", "admin"),
            ("admins", "admin"),
            ("ádmin", "admin"),
            ("4dmin", "admin"),
            ("Ольга", "olga"),
            ("Root-Beer", "root"),
            ("anna", "hannah"),
        ] {
            assert!(!alike(name, other), "{name}");
        }
        let reserved = ReservedNames::new(&crate::engine::Config::default().reserved_usernames).0;
        for name in ["Ada", "Ирина", "محمد", "李小龍", "Omar", "Will", "Guestav", "Rne", "Γιώργος", "Usher", "Helpmann"]
        {
            let name = Username::existing(name).unwrap();
            assert!(!skeletons(&name).iter().any(|skeleton| reserved.contains(skeleton)) || name.as_str() == "Rne");
        }
    }

    #[test]
    fn a_name_from_before_the_rule_has_a_skeleton_too() {
        let long = Username::stored("ﷺ".repeat(10_000));
        for name in ["...", "", "Аda и-Боб😀", long.as_str()] {
            let skeletons = skeletons(&Username::stored(name.to_owned()));
            assert!(!skeletons.is_empty() && skeletons.iter().all(|skeleton| skeleton.len() <= 4 * LONGEST));
        }
    }

    #[test]
    fn a_skeleton_fits_into_an_index_and_takes_little_time() {
        let names = ('\0'..=char::MAX).filter(|c| c.is_alphanumeric()).map(|c| (closed(&c.to_string()).len(), c));
        let mut names: Vec<(usize, char)> = names.collect();
        names.sort_unstable();
        let longest =
            names.iter().rev().filter_map(|(_, c)| c.to_string().repeat(50).parse::<Username>().ok()).take(20);
        for name in longest {
            // The fastest of several: others use the machine, too.
            let fastest = (0..5).map(|_| {
                let begun = std::time::Instant::now();
                let length = skeletons(&name).iter().map(String::len).max().unwrap_or_default();
                assert!(length < 4 * LONGEST, "{name}: {length}");
                begun.elapsed()
            });
            let fastest = fastest.min().unwrap();
            assert!(fastest < std::time::Duration::from_millis(20), "{name}: {fastest:?}");
        }
    }

    proptest! {
        #[test]
        fn a_name_looks_like_itself_however_it_is_written(name in "[\\p{L}\\p{Mn}\\p{Nd}._-]{3,50}", dots in 1..4_usize) {
            if let Ok(name) = name.parse::<Username>() {
                let own = skeletons(&name);
                for other in [name.key(), name.as_str().to_lowercase(), name.as_str().replace('.', &"-".repeat(dots))] {
                    let other = skeletons(&Username::stored(other));
                    prop_assert!(own.iter().any(|skeleton| other.contains(skeleton)), "{own:?} {other:?}");
                }
            }
        }
    }
}
