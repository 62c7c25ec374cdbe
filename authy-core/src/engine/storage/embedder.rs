//! What the statements of an embedding program need: conversions of their errors, and identifiers as parameters and columns.

use std::{error::Error as StdError, io, time::Duration};

use bytes::BytesMut;
use deadpool_postgres::PoolError;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::connector::db_error;
use crate::{Error, ErrorKind, EventId, SessionId, UserId};

/// The error of a statement of the embedding program, with `?`: [`ErrorKind::Unavailable`] when the database is not
/// available, or a retry resolves the conflict, and [`ErrorKind::Internal`] otherwise. The log gets the cause.
impl From<tokio_postgres::Error> for Error {
    fn from(cause: tokio_postgres::Error) -> Self {
        let is_connection = cause.is_closed() || cause.source().is_some_and(|source| source.is::<io::Error>());
        match cause.as_db_error().is_some() || is_connection {
            true => db_error(cause),
            // A parameter, a column or the number of rows is not what the program expects.
            false => Error::with_source(ErrorKind::Internal, "a database request failed", cause),
        }
    }
}

/// The error of a connection that [`Authy::pool`](crate::Authy::pool) does not have: [`ErrorKind::Unavailable`], or
/// [`ErrorKind::Internal`] when the database refuses the program.
impl From<PoolError> for Error {
    fn from(cause: PoolError) -> Self {
        match cause {
            PoolError::Backend(cause) => db_error(cause),
            cause => Error::with_source(ErrorKind::Unavailable, "no database connection is free", cause)
                .with_retry_after(Duration::from_secs(1)),
        }
    }
}

macro_rules! uuid_columns {
    ($($name:ident)+) => { $(
        /// As a parameter of the type `uuid`.
        impl ToSql for $name {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
                self.as_uuid().to_sql(ty, out)
            }

            fn accepts(ty: &Type) -> bool {
                <Uuid as ToSql>::accepts(ty)
            }

            to_sql_checked!();
        }

        /// From a column of the type `uuid`.
        impl<'a> FromSql<'a> for $name {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
                Uuid::from_sql(ty, raw).map(Self::from)
            }

            fn accepts(ty: &Type) -> bool {
                <Uuid as FromSql<'_>>::accepts(ty)
            }
        }
    )+ };
}

uuid_columns! { UserId SessionId EventId }
