//! Reads checked types from the columns of a row.

use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Level, UserId, name::Stored};

/// Returns the user ID in a column.
pub(in crate::engine) fn user_id(row: &Row, column: &str) -> UserId {
    UserId::from(row.get::<_, Uuid>(column))
}

/// Returns the value of a text column. It was checked by the rules of its time when it was written, and is not checked
/// again.
pub(in crate::engine) fn stored<T: Stored>(row: &Row, column: &str) -> T {
    T::stored(row.get(column))
}

/// Returns the level in the column `level`, which may be NULL.
pub(in crate::engine) fn optional_level(row: &Row) -> Option<Level> {
    row.get::<_, Option<i32>>("level").map(Level::stored)
}

/// Returns the level in the column `level`.
pub(in crate::engine) fn level(row: &Row) -> Level {
    Level::stored(row.get("level"))
}
