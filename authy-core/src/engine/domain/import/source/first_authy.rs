//! The database of the first authy: tables `users`, `role` and `user_role`.
//!
//! Its times have no zone. Those of sign-ups and deletions are the local times of the program, and that of the last login
//! is the local time of the database session. PostgreSQL converts them, with its own table of zones: a time that the
//! clocks skipped counts by the offset before, and one that they showed twice by standard time.

use std::{pin::Pin, time::Duration};

use futures_util::{StreamExt as _, stream::Fuse};
use tokio_postgres::{
    Client, Row, RowStream,
    types::{FromSql, Type},
};

use super::FirstAuthy;
use crate::{
    Error, ErrorKind, Result, Secret,
    engine::{
        domain::import::record::{ImportRecord, SourceRole, SourceRow},
        storage::{
            connector::{Connector, ServerRole, check_encryption, db_error},
            pooler::Pooler,
        },
    },
};

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One state of the database for all statements, which change nothing; and no limit of time, because a million users
/// take minutes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
                     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// The time zone of a session of this role, which the connection has not changed. The name of a zone that the operator
/// gives must be known; PostgreSQL would read others as rules of their own.
const ZONES: &str = "SELECT reset_val AS own, $1 IS NULL OR EXISTS (
                         SELECT FROM pg_timezone_names WHERE lower(name) = lower($1)) AS knows_app,
                     $2 IS NULL OR EXISTS (
                         SELECT FROM pg_timezone_names WHERE lower(name) = lower($2)) AS knows_database
                     FROM pg_settings WHERE name = 'TimeZone'";

const ROLES: &str = "SELECT id::text AS key, name::text, description::text, level::integer FROM role ORDER BY id";

/// Memberships of users or roles that do not exist: as many as a report has room for, and the number of all.
const ORPHANS: &str = "SELECT coalesce(user_id::text, 'NULL') AS user_id, coalesce(role_id::text, 'NULL') AS role_id,
                              count(*) OVER () AS total
                       FROM user_role
                       WHERE NOT EXISTS (SELECT FROM users WHERE users.id = user_id)
                          OR NOT EXISTS (SELECT FROM role WHERE role.id = role_id)
                       ORDER BY user_role.user_id, user_role.role_id LIMIT 10000";

const TOTAL: &str = "SELECT count(*) AS total FROM users";

/// All users, in the order of their sign-up. The memberships are read once for all of them, because they may have no
/// index. A user who never logged in has the time of the sign-up as that of the last login. A time that has no value here, such as
/// `infinity`, becomes one of the year 10000, which is reported as any other that is out of range.
const USERS: &str = "
    SELECT users.id::text AS id, public_id::text, username::text, password::text, email::text, roles,
           coalesce(validated, false) AS validated, coalesce(deleted, false) AS deleted,
           CASE WHEN created BETWEEN '0001-01-01' AND '9999-12-31' THEN created AT TIME ZONE $1
                WHEN created IS NOT NULL THEN timestamptz '10000-01-01 00:00+00' END AS created,
           CASE WHEN delete_date BETWEEN '0001-01-01' AND '9999-12-31' THEN delete_date AT TIME ZONE $1
                WHEN delete_date IS NOT NULL THEN timestamptz '10000-01-01 00:00+00' END AS delete_date,
           CASE WHEN last_login = created THEN NULL
                WHEN last_login BETWEEN '0001-01-01' AND '9999-12-31' THEN last_login AT TIME ZONE $2
                WHEN last_login IS NOT NULL THEN timestamptz '10000-01-01 00:00+00' END AS last_login
    FROM users LEFT JOIN (
        SELECT user_id, array_agg(role.id::text) AS roles FROM user_role JOIN role ON role.id = role_id GROUP BY user_id
    ) AS granted ON granted.user_id = users.id
    ORDER BY users.id";

/// An open database.
pub(in crate::engine::domain::import) struct Reader {
    pub(super) app_time_zone: String,
    pub(super) database_time_zone: String,
    pub(super) roles: Vec<SourceRole>,
    /// The users and roles, by their IDs, of memberships that lack one of them.
    pub(super) orphans: Vec<(String, String)>,
    /// The number of all of them.
    pub(super) all_orphans: u64,
    pub(super) total: u64,
    // It is asked again at its end, after which the client answers with an error.
    users: Pin<Box<Fuse<RowStream>>>,
    // The transaction ends with it.
    _client: Client,
}

impl Reader {
    pub(super) async fn open(source: &FirstAuthy) -> Result<Self> {
        // A standby is as good as the primary.
        let client = connect(source, ServerRole::Any, "authy import").await?;
        client.batch_execute(BEGIN).await.map_err(unreadable)?;
        let (app_time_zone, database_time_zone) = time_zones(&client, source).await?;
        let roles = client.query_typed(ROLES, &[]).await.map_err(unreadable)?;
        let roles = roles.iter().map(role).collect::<Result<_>>()?;
        let orphans = client.query_typed(ORPHANS, &[]).await.map_err(unreadable)?;
        let all_orphans = orphans.first().map_or(Ok(0), |row| column_of::<i64>(row, "total"))?.unsigned_abs();
        let orphans = orphans.iter().map(|row| Ok((column_of(row, "user_id")?, column_of(row, "role_id")?)));
        let orphans = orphans.collect::<Result<_>>()?;
        let total = client.query_typed_one(TOTAL, &[]).await.map_err(unreadable)?;
        let total = column_of::<i64>(&total, "total")?.unsigned_abs();
        let zones = [(&app_time_zone, Type::TEXT), (&database_time_zone, Type::TEXT)];
        let users = client.query_typed_raw(USERS, zones).await.map_err(unreadable)?;
        let users = Box::pin(users.fuse());
        Ok(Self { app_time_zone, database_time_zone, roles, orphans, all_orphans, total, users, _client: client })
    }

    pub(super) async fn next(&mut self, limit: usize) -> Result<Vec<SourceRow>> {
        let mut rows = Vec::with_capacity(limit);
        while rows.len() < limit {
            let Some(row) = self.users.next().await else { break };
            rows.push(user(&row.map_err(unreadable)?)?);
        }
        Ok(rows)
    }
}

/// Returns the time zones of sign-ups and deletions, and of logins.
pub(in crate::engine::domain) async fn time_zones(client: &Client, source: &FirstAuthy) -> Result<(String, String)> {
    let (app, database) = (&source.app_time_zone, &source.database_time_zone);
    let zones =
        client.query_typed_one(ZONES, &[(app, Type::TEXT), (database, Type::TEXT)]).await.map_err(unreadable)?;
    for (column, name) in [("knows_app", "app-time-zone"), ("knows_database", "database-time-zone")] {
        if !column_of::<bool>(&zones, column)? {
            let unknown = crate::Invalid::new("unknown_time_zone", "must be the name of a zone, such as Europe/Berlin");
            return Err(Error::new(ErrorKind::InvalidInput, "the source database does not know a time zone")
                .with_field(unknown.of(name)));
        }
    }
    let database_time_zone = match database {
        Some(zone) => zone.clone(),
        None => column_of(&zones, "own")?,
    };
    Ok((app.clone().unwrap_or_else(|| "UTC".to_owned()), database_time_zone))
}

/// Connects to the database.
pub(in crate::engine::domain) async fn connect(
    source: &FirstAuthy,
    role: ServerRole,
    application: &str,
) -> Result<Client> {
    let mut config = source.database.clone();
    let refused =
        |cause| Error::with_source(ErrorKind::InvalidInput, "connections to the source must be encrypted", cause);
    check_encryption(&config).map_err(refused)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.application_name(application);
    let connector = Connector::new(config, Pooler::Auto, role, &source.roots)?;
    let opened = connector.connect().await;
    let opened = opened.map_err(|cause| Error::with_source(cause.kind(), "the source cannot be opened", cause))?;
    Ok(opened.client)
}

fn role(row: &Row) -> Result<SourceRole> {
    // An empty name is none: nobody could type it, or map it to another.
    let name = column_of::<Option<String>>(row, "name")?.filter(|name| !name.trim().is_empty());
    Ok(SourceRole {
        key: column_of(row, "key")?,
        name,
        description: column_of(row, "description")?,
        level: column_of(row, "level")?,
    })
}

fn user(row: &Row) -> Result<SourceRow> {
    let id: String = column_of(row, "id")?;
    let record = ImportRecord {
        id: Some(id.clone()),
        public_id: column_of(row, "public_id")?,
        username: column_of(row, "username")?,
        email: column_of(row, "email")?,
        validated: column_of(row, "validated")?,
        password_hash: column_of::<Option<String>>(row, "password")?.map(Secret::new),
        created: column_of(row, "created")?,
        last_login: column_of(row, "last_login")?,
        deleted: column_of(row, "deleted")?,
        delete_date: column_of(row, "delete_date")?,
        roles: Some(column_of::<Option<_>>(row, "roles")?.unwrap_or_default()),
    };
    Ok(SourceRow { place: id, record: Ok(record) })
}

fn column_of<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(unreadable)
}

/// Returns the error of a statement on the source.
fn unreadable(cause: tokio_postgres::Error) -> Error {
    let class = cause.code().and_then(|code| code.code().get(..2));
    match class {
        // Missing tables, columns or permissions, and values that cannot be converted.
        Some("22" | "42") => Error::with_source(
            ErrorKind::InvalidInput,
            "the source cannot be read: is it the database of the first authy, and may the role SELECT from users, role and \
             user_role?",
            cause,
        ),
        Some(_) => db_error(cause),
        None if cause.is_closed() => {
            Error::with_source(ErrorKind::Unavailable, "the source database is not available", cause)
        }
        None => Error::with_source(ErrorKind::InvalidInput, "a column of the source has another type", cause),
    }
}
