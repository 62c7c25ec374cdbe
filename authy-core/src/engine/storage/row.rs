//! Checked types from the columns of a row.

use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Level, UserId, name::Stored};

/// The user whose id is in a column.
pub(in crate::engine) fn user_id(row: &Row, column: &str) -> UserId {
    UserId::from(row.get::<_, Uuid>(column))
}

/// A checked type from a text column. It was checked when it was written, by the rule of that time; what is stored is always
/// shown.
pub(in crate::engine) fn stored<T: Stored>(row: &Row, column: &str) -> T {
    T::stored(row.get(column))
}

/// The level in a column.
pub(in crate::engine) fn level(row: &Row) -> Level {
    Level::clamped(row.get::<_, i32>("level").unsigned_abs())
}
