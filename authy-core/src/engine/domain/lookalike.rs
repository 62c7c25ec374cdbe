//! Look-alike names: a new name must not look like a reserved name or an administrator's name.
//!
//! Two names look alike when they have a common skeleton: that of UTS 39, closed under case folding, without
//! separators.

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

/// The version of the rule for skeletons, in addition to the version of the Unicode tables. Increase it when [`closed`]
/// changes.
const RULE_VERSION: u32 = 1;

/// The level of administrators: the names of users with this level or a smaller one are compared.
pub(in crate::engine) const ADMINISTRATOR_LEVEL: i32 = ADMIN.cast_signed();

/// Maximum number of compared characters of a skeleton: with four bytes each they fit into an index row, which has at
/// most 2,704 bytes. Names under the current rules are much shorter.
const MAX_SKELETON_CHARS: usize = 600;

/// Number of administrators per batch of stored skeletons: a few seconds of work at most.
const ADMINISTRATORS_A_BATCH: i64 = 500;

/// Returns the skeletons of a name: as written, and case-folded. Most names have only one.
pub(in crate::engine) fn skeletons(name: &Username) -> Vec<String> {
    let forms = [closed(name.as_str()), closed(&name.key())];
    BTreeSet::from(forms).into_iter().collect()
}

/// Returns the skeleton of a text, closed under case folding: names are compared case-insensitively, so a character
/// that looks like a letter also looks like its capital.
fn closed(text: &str) -> String {
    let letters: String = text.chars().filter(|c| !matches!(c, '.' | '_' | '-')).collect();
    // UTS 39 maps 0 to O, and 1 to l.
    let folded = caseless(&skeleton(&letters).collect::<String>());
    let alike: String = skeleton(&folded).collect();
    // I is the capital of i and looks like l. A dot above an i is invisible: the capital İ is folded to that.
    alike.replace("i\u{307}", "i").replace('i', "l").chars().take(MAX_SKELETON_CHARS).collect()
}

/// Returns the error for a refused name: the same for a reserved name and one that looks like an administrator's.
pub(in crate::engine) fn refused() -> Error {
    let field = Invalid::new("reserved", "is reserved, or looks like another name").of("username");
    Error::new(ErrorKind::AlreadyRegistered, "this username is reserved, or looks like another").with_field(field)
}

/// Returns the version of the current rule.
fn rule() -> String {
    let (major, minor, update) = UNICODE_VERSION;
    format!("{major}.{minor}.{update}/{RULE_VERSION}")
}

/// The skeletons of the reserved names.
pub(in crate::engine) struct ReservedNames(HashSet<String>);

impl ReservedNames {
    pub(in crate::engine) fn new(names: &[String]) -> Self {
        let names = names.iter().filter_map(|name| Username::existing(name).ok());
        Self(names.flat_map(|name| skeletons(&name)).collect())
    }

    /// Returns the skeletons of a new name, unless it looks like a reserved name or an administrator's. An operator may
    /// use any name: then nothing is compared, and the result is empty.
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
        let found = db.read_opt(&sql::LOOKS_LIKE_ADMINISTRATOR, &[&skeletons, &ADMINISTRATOR_LEVEL]).await?;
        found.map_or(Ok(skeletons), |_| Err(refused()))
    }
}

/// Stores the skeletons of administrators that were not stored yet, or only by an older rule.
pub(in crate::engine) async fn fill_in(db: &Db) -> Result<()> {
    db.write_quietly(&sql::FORGET_LOOKALIKES, &[]).await?;
    let rule = rule();
    loop {
        let rows = db.read(&sql::LIST_UNPROTECTED, &[&ADMINISTRATOR_LEVEL, &rule, &ADMINISTRATORS_A_BATCH]).await?;
        for row in &rows {
            let skeletons = skeletons(&stored(row, "username"));
            db.write_quietly(&sql::PROTECT, &[&row.get::<_, Uuid>("public_id"), &skeletons, &rule]).await?;
        }
        if rows.len() < usize::try_from(ADMINISTRATORS_A_BATCH).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// Stores the skeletons of a user who gets a role, when the role makes the user an administrator, so that no new name
/// can look alike.
pub(in crate::engine) async fn protect(tx: &Transaction<'_>, user: UserId, role: Level) -> Result<()> {
    if role.get() > ADMINISTRATOR_LEVEL {
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
    fn names_that_people_read_as_the_same_look_alike() {
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
    fn names_that_people_read_as_different_do_not_look_alike() {
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
            assert!(!skeletons.is_empty() && skeletons.iter().all(|skeleton| skeleton.len() <= 4 * MAX_SKELETON_CHARS));
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
            // The fastest of several runs, because other programs share the machine.
            let fastest = (0..5).map(|_| {
                let begun = std::time::Instant::now();
                let length = skeletons(&name).iter().map(String::len).max().unwrap_or_default();
                assert!(length < 4 * MAX_SKELETON_CHARS, "{name}: {length}");
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
