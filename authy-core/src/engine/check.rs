//! The list of all SQL statements, and the check that they fit the schema.

use tokio_postgres::{Client, types::Type};

use crate::{
    Result,
    engine::{
        background::maintenance,
        delivery::{notification, relay},
        domain::{
            alias, code, credential, epoch, export, fallback_hash, going_back, import, instance, issuer, lookalike,
            role, session, signing_key, throttle, user,
        },
        journal::{actor, event, revocation},
        storage::{connector::db_error, replica, statement::Statement},
    },
};

/// Every statement of the crate.
fn all() -> impl Iterator<Item = &'static Statement> {
    [
        actor::sql::ALL,
        event::sql::ALL,
        revocation::sql::ALL,
        alias::sql::ALL,
        code::sql::ALL,
        credential::sql::ALL,
        epoch::sql::ALL,
        export::sql::ALL,
        fallback_hash::sql::ALL,
        going_back::sql::ALL,
        import::sql::ALL,
        instance::sql::ALL,
        issuer::sql::ALL,
        lookalike::sql::ALL,
        role::sql::ALL,
        session::sql::ALL,
        signing_key::sql::ALL,
        throttle::sql::ALL,
        user::sql::ALL,
        user::list::sql::ALL,
        notification::sql::ALL,
        relay::sql::ALL,
        replica::sql::ALL,
        maintenance::sql::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Returns every statement: its name, the types of its parameters, and its SQL. For the record of a release.
#[cfg(feature = "fuzz-entry-points")]
pub fn statements() -> impl Iterator<Item = (&'static str, &'static [tokio_postgres::types::Type], &'static str)> {
    all().map(|statement| (statement.name, statement.types, statement.sql))
}

/// Prepares every statement, and returns their number.
///
/// # Errors
/// The first statement that does not fit the schema.
pub(in crate::engine) async fn check(client: &Client) -> Result<usize> {
    let mut count = 0;
    for statement in all() {
        let types: Vec<_> = statement.types.iter().map(Type::name).collect();
        let types = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
        // In one message, so that behind a pooler in transaction mode nothing stays prepared in a session that others use.
        let prepare = format!("PREPARE authy_check {types} AS {}; DEALLOCATE authy_check", statement.sql);
        client.batch_execute(&prepare).await.map_err(|cause| {
            tracing::error!(statement = statement.name, error = %cause, "a statement does not fit the schema");
            db_error(cause)
        })?;
        count += 1;
    }
    Ok(count)
}
