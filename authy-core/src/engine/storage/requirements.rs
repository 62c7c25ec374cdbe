//! What the database has to be, checked before anything is created in it.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::connector::bounded;
use crate::{Error, ErrorKind, Result};

/// PostgreSQL 13: the first version with `pg_current_snapshot` and `xid8`, by which events and revocations are read.
const MIN_VERSION: u32 = 130_000;

/// Checks the version and the encoding.
///
/// # Errors
/// [`ErrorKind::InvalidInput`]; the log has the version or the encoding.
pub(super) async fn check_requirements(client: &Client) -> Result<()> {
    let query =
        "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('server_encoding')";
    let answered = bounded(client.simple_query(query)).await?;
    let columns = answered.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?.parse().ok()?, row.get(1)?)),
        _ => None,
    });
    let (version, encoding) = columns.ok_or_else(|| Error::new(ErrorKind::Internal, "a row was expected"))?;
    if let Err(detail) = check(version, encoding) {
        tracing::error!(server_version_num = version, encoding, "{detail}");
        return Err(Error::new(ErrorKind::InvalidInput, detail));
    }
    Ok(())
}

fn check(version: u32, encoding: &str) -> Result<(), &'static str> {
    if version < MIN_VERSION {
        return Err("the database server is too old: PostgreSQL 13 or newer is required");
    }
    // SQL_ASCII is no encoding: it accepts any bytes, and names that are equal would differ.
    if encoding != "UTF8" {
        return Err("the database is not encoded in UTF-8, so it cannot hold every name: use one that was created by \
                    CREATE DATABASE authy ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_before_version_13_and_an_encoding_other_than_utf_8_are_refused() {
        assert_eq!(check(130_000, "UTF8"), Ok(()));
        assert_eq!(check(180_001, "UTF8"), Ok(()));
        assert!(check(120_022, "UTF8").unwrap_err().contains("PostgreSQL 13"));
        for encoding in ["SQL_ASCII", "LATIN1", "EUC_JP", "WIN1252"] {
            assert!(check(150_000, encoding).unwrap_err().contains("ENCODING 'UTF8'"), "{encoding}");
        }
    }
}
