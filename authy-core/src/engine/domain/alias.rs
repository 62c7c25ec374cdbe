//! Aliases: spellings that mean one account each, exactly as they are typed.
//!
//! Usernames are compared by their caseless key. Accounts of an earlier system may have names with the same key (`ada`,
//! `ADA` and `ａｄａ`). One of them has the key. Each of the others has an alias, and a key of its own that no text has.
//! Every search for a name looks for an alias with exactly this spelling first, then for the key, so no spelling ever
//! finds an account that it does not belong to.

use tokio_postgres::Transaction;

use super::erased_name::ErasedNames;
use crate::{Result, UserId, Username, engine::storage::connector::db_error};

pub(in crate::engine) mod sql;

/// Between the key of a name and the ID of its user. No key of a text has capitals, because it is case-folded.
const COLLISION: &str = " ALIAS ";

/// Returns the `username_key` of a user whose name has the key of another user. No name has this key, so a search finds
/// the user only by an alias; and it begins with the key of the name, by which lists are searched and ordered.
pub(in crate::engine) fn collision_key(name: &Username, user: UserId) -> String {
    format!("{}{COLLISION}{user}", name.key())
}

/// Replaces the aliases of a user who is erased. Their keys stay taken.
pub(in crate::engine) async fn erase(tx: &Transaction<'_>, erased: &ErasedNames, user: UserId) -> Result<()> {
    for row in sql::LIST_OF_USER.rows(tx, &[user.as_uuid()]).await? {
        let (spelling, key): (&str, &str) = (row.get("spelling"), row.get("spelling_key"));
        let hidden = (erased.hash(spelling), erased.hash(key));
        sql::ERASE.execute(tx, &[&spelling, &hidden.0, &hidden.1]).await.map_err(db_error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Stored as _;

    proptest! {
        #[test]
        fn no_text_has_the_key_of_a_collision(name in "\\PC{0,20}", text in any::<String>()) {
            let key = collision_key(&Username::stored(name), UserId::random());
            prop_assert_ne!(Username::stored(key.clone()).key(), key.clone());
            prop_assert!(!Username::stored(text).key().contains(COLLISION.trim()));
        }
    }
}
