//! The database of the first authy, as an export writes it: tables `users`, `role` and `user_role`.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use tokio_postgres::{
    Client, Row, Transaction,
    error::SqlState,
    types::{FromSql, Type},
};
use uuid::Uuid;

use super::change::{Change, NewRole, NewUser};
use crate::{
    Error, ErrorKind, Result,
    engine::{
        domain::import::source::{
            FirstAuthy,
            first_authy::{connect, time_zones},
        },
        storage::{
            connector::{ServerRole, db_error},
            fault,
            statement::Params,
        },
    },
};

/// The old program may be running: neither may wait long for the other.
const BEGIN: &str = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '60s'";

const ROLES: &str = "SELECT id::bigint AS id, name::text, level::integer FROM role ORDER BY id";

const CREATE_ROLE: &str = "INSERT INTO role (name, description, level) VALUES ($1, $2, $3) RETURNING id::bigint AS id";

/// Users by their public IDs, and whether the login here is later than the one that is stored there. Before the first login,
/// the time of the login is that of the sign-up. `FOR UPDATE` is added for those who are about to be written.
const USERS: &str = "
    SELECT users.id::bigint AS id, users.public_id::text, username::text, password::text, email::text,
           coalesce(validated, false) AS validated, coalesce(deleted, false) AS deleted,
           coalesce(given.last_login IS NOT NULL
                    AND (users.last_login IS NULL OR users.last_login = users.created
                         OR given.last_login AT TIME ZONE $3 > users.last_login), false) AS has_older_login
    FROM unnest($1, $2) AS given (public_id, last_login) JOIN users ON users.public_id = given.public_id
    ORDER BY users.id";

const MEMBERSHIPS: &str = "SELECT user_id::bigint AS user_id, role_id::bigint AS role_id FROM user_role
                           WHERE user_id = ANY ($1) AND role_id IS NOT NULL";

/// Who has which of these names and addresses.
const TAKEN: &str = "
    SELECT 'username' AS what, username::text AS value, id::bigint AS id FROM users WHERE username = ANY ($1)
    UNION ALL SELECT 'email', email::text, id::bigint FROM users WHERE email = ANY ($2)";

/// A user who never logged in has the time of the sign-up as that of the last login.
const CREATE: &str = "
    INSERT INTO users (public_id, username, password, email, created, last_login, deleted, delete_date, validated)
    VALUES ($1, $2, $3, $4, $5 AT TIME ZONE $9, coalesce($6 AT TIME ZONE $10, $5 AT TIME ZONE $9), $7 IS NOT NULL,
            $7 AT TIME ZONE $9, $8)
    RETURNING id::bigint AS id";

/// Codes that were sent before the change must not change the account back.
const UPDATE: &str = "
    UPDATE users SET
        password = coalesce($2, password), email = CASE WHEN $3 THEN $4 ELSE email END,
        validated = coalesce($5, validated), deleted = coalesce($6, deleted),
        delete_date = CASE WHEN $6 IS NULL THEN delete_date ELSE $7 AT TIME ZONE $10 END,
        last_login = coalesce($8 AT TIME ZONE $11, last_login),
        password_reset_string = CASE WHEN $9 THEN NULL ELSE password_reset_string END,
        password_reset_datetime = CASE WHEN $9 THEN NULL ELSE password_reset_datetime END,
        validation_string = CASE WHEN $9 THEN NULL ELSE validation_string END
    WHERE id = $1";

const GRANT: &str = "INSERT INTO user_role (user_id, role_id)
                     SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM user_role WHERE user_id = $1 AND role_id = $2)";

const REVOKE: &str = "DELETE FROM user_role WHERE user_id = $1 AND role_id = $2";

/// A role there.
pub(super) struct RoleThere {
    pub(super) id: i64,
    pub(super) name: Option<String>,
    pub(super) level: Option<i32>,
}

/// A user there.
pub(super) struct UserThere {
    pub(super) id: i64,
    pub(super) username: Option<String>,
    pub(super) password: String,
    pub(super) email: Option<String>,
    pub(super) is_validated: bool,
    pub(super) is_deleted: bool,
    /// Whether the last login there is older than the one here.
    pub(super) has_older_login: bool,
    pub(super) roles: Vec<i64>,
}

/// The names and addresses that are taken there, and the users who have them.
#[derive(Default)]
pub(super) struct TakenThere(HashMap<(&'static str, String), i64>);

impl TakenThere {
    pub(super) fn owner_of_username(&self, name: &str) -> Option<i64> {
        self.0.get(&("username", name.to_owned())).copied()
    }

    pub(super) fn owner_of_email(&self, email: &str) -> Option<i64> {
        self.0.get(&("email", email.to_owned())).copied()
    }
}

/// The open database.
pub(super) struct There {
    client: Client,
    pub(super) zones: Zones,
}

/// The time zones of sign-ups and deletions, and of logins.
#[derive(Clone)]
pub(super) struct Zones {
    pub(super) app: String,
    pub(super) database: String,
}

impl There {
    pub(super) async fn open(target: &FirstAuthy) -> Result<Self> {
        let client = connect(target, ServerRole::Primary, "authy export").await?;
        let (app, database) = time_zones(&client, target).await?;
        Ok(Self { client, zones: Zones { app, database } })
    }

    pub(super) async fn roles(&self) -> Result<Vec<RoleThere>> {
        let rows = self.client.query_typed(ROLES, &[]).await.map_err(unwritable)?;
        let role = |row: &Row| {
            Ok(RoleThere { id: column(row, "id")?, name: column(row, "name")?, level: column(row, "level")? })
        };
        rows.iter().map(role).collect()
    }

    pub(super) async fn create_role(&mut self, role: &NewRole) -> Result<i64> {
        let NewRole { name, description, level } = role;
        let params: &[_] = &[(name as _, Type::TEXT), (description as _, Type::TEXT), (level as _, Type::INT4)];
        let created = fault::around("export: create role", self.client.query_typed_one(CREATE_ROLE, params)).await;
        column(&created.map_err(unwritable)?, "id")
    }

    /// Returns the users there with these public IDs, whose last logins here are given. They may change meanwhile.
    pub(super) async fn read(&mut self, given: &Given<'_>) -> Result<Found> {
        let zones = self.zones.clone();
        let tx = self.client.transaction().await.map_err(db_error)?;
        ThereTx { tx, zones }.find(given, USERS).await
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self) -> Result<ThereTx<'_>> {
        let zones = self.zones.clone();
        let tx = self.client.transaction().await.map_err(db_error)?;
        tx.batch_execute(BEGIN).await.map_err(db_error)?;
        Ok(ThereTx { tx, zones })
    }
}

/// What is looked for there, about some users here.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) ids: Vec<String>,
    pub(super) last_logins: Vec<Option<DateTime<Utc>>>,
    pub(super) names: Vec<&'a str>,
    pub(super) emails: Vec<&'a str>,
}

/// What was found there.
pub(super) struct Found {
    /// By their public IDs.
    pub(super) users: BTreeMap<Uuid, UserThere>,
    pub(super) taken: TakenThere,
}

/// A transaction there.
pub(super) struct ThereTx<'t> {
    tx: Transaction<'t>,
    zones: Zones,
}

impl ThereTx<'_> {
    /// Locks and returns the users with these public IDs.
    pub(super) async fn lock(&self, given: &Given<'_>) -> Result<Found> {
        self.find(given, &format!("{USERS} FOR UPDATE OF users")).await
    }

    async fn find(&self, given: &Given<'_>, users: &str) -> Result<Found> {
        let params: &[_] = &[
            (&given.ids as _, Type::TEXT_ARRAY),
            (&given.last_logins as _, Type::TIMESTAMPTZ_ARRAY),
            (&self.zones.database as _, Type::TEXT),
        ];
        let rows = self.tx.query_typed(users, params).await.map_err(unwritable)?;
        let mut users = BTreeMap::new();
        let mut places = BTreeMap::new();
        for row in &rows {
            // It was found by this text, which is that of an ID here.
            let Ok(public_id) = column::<String>(row, "public_id")?.parse::<Uuid>() else { continue };
            let user = user(row)?;
            places.insert(user.id, public_id);
            users.insert(public_id, user);
        }
        let ids: Vec<i64> = places.keys().copied().collect();
        for row in self.tx.query_typed(MEMBERSHIPS, &[(&ids, Type::INT8_ARRAY)]).await.map_err(unwritable)? {
            let owner = places.get(&column::<i64>(&row, "user_id")?).and_then(|owner| users.get_mut(owner));
            if let Some(owner) = owner {
                owner.roles.push(column(&row, "role_id")?);
            }
        }
        let params: &[_] = &[(&given.names as _, Type::TEXT_ARRAY), (&given.emails as _, Type::TEXT_ARRAY)];
        let mut taken = TakenThere::default();
        for row in self.tx.query_typed(TAKEN, params).await.map_err(unwritable)? {
            let what = if column::<&str>(&row, "what")? == "email" { "email" } else { "username" };
            taken.0.insert((what, column(&row, "value")?), column(&row, "id")?);
        }
        Ok(Found { users, taken })
    }

    /// Creates a user, and returns the ID.
    pub(super) async fn create(&self, user: &NewUser) -> Result<i64> {
        let params: &[_] = &[
            (&user.public_id as _, Type::TEXT),
            (&user.username as _, Type::TEXT),
            (&user.password.expose() as _, Type::TEXT),
            (&user.email as _, Type::TEXT),
            (&user.created as _, Type::TIMESTAMPTZ),
            (&user.last_login as _, Type::TIMESTAMPTZ),
            (&user.deleted_at as _, Type::TIMESTAMPTZ),
            (&user.is_validated as _, Type::BOOL),
            (&self.zones.app as _, Type::TEXT),
            (&self.zones.database as _, Type::TEXT),
        ];
        let created = fault::around("export: create", self.tx.query_typed_one(CREATE, params)).await;
        let id = column(&created.map_err(unwritable)?, "id")?;
        for role in &user.roles {
            self.execute("export: grant", GRANT, &[&id, role], &[Type::INT8, Type::INT8]).await?;
        }
        Ok(id)
    }

    /// Changes a user.
    pub(super) async fn update(&self, id: i64, change: &Change) -> Result<()> {
        if change.changes_row() {
            let password = change.password.as_ref().map(|hash| hash.expose());
            let email = change.email.as_ref();
            let params: Params<'_> = &[
                &id,
                &password,
                &email.is_some(),
                &email.and_then(Option::as_ref),
                &change.is_validated,
                &change.deleted_at.map(|deleted_at| deleted_at.is_some()),
                &change.deleted_at.flatten(),
                &change.last_login,
                &change.voids_codes(),
                &self.zones.app,
                &self.zones.database,
            ];
            let types = [
                Type::INT8,
                Type::TEXT,
                Type::BOOL,
                Type::TEXT,
                Type::BOOL,
                Type::BOOL,
                Type::TIMESTAMPTZ,
                Type::TIMESTAMPTZ,
                Type::BOOL,
                Type::TEXT,
                Type::TEXT,
            ];
            self.execute("export: update", UPDATE, params, &types).await?;
        }
        for role in &change.granted {
            self.execute("export: grant", GRANT, &[&id, role], &[Type::INT8, Type::INT8]).await?;
        }
        for role in &change.revoked {
            self.execute("export: revoke", REVOKE, &[&id, role], &[Type::INT8, Type::INT8]).await?;
        }
        Ok(())
    }

    async fn execute(&self, name: &'static str, statement: &str, params: Params<'_>, types: &[Type]) -> Result<()> {
        let typed: Vec<_> = params.iter().copied().zip(types.iter().cloned()).collect();
        fault::around(name, self.tx.execute_typed(statement, &typed)).await.map(drop).map_err(unwritable)
    }

    pub(super) async fn commit(self) -> Result<()> {
        fault::around("export: commit", self.tx.commit()).await.map_err(db_error)
    }
}

fn user(row: &Row) -> Result<UserThere> {
    Ok(UserThere {
        id: column(row, "id")?,
        username: column(row, "username")?,
        password: column(row, "password")?,
        email: column(row, "email")?,
        is_validated: column(row, "validated")?,
        is_deleted: column(row, "deleted")?,
        has_older_login: column(row, "has_older_login")?,
        roles: Vec::new(),
    })
}

fn column<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(unwritable)
}

/// Returns the error of a statement on the database of the first authy.
fn unwritable(cause: tokio_postgres::Error) -> Error {
    let class = cause.code().and_then(|code| code.code().get(..2));
    match class {
        // The old program wrote the same name or address at this moment.
        _ if cause.code() == Some(&SqlState::UNIQUE_VIOLATION) => Error::with_source(
            ErrorKind::Unavailable,
            "a name, an address or an ID was taken there at the same time: try again",
            cause,
        ),
        // Missing tables, columns or permissions, values that cannot be converted, and other constraints.
        Some("22" | "23" | "42") => Error::with_source(
            ErrorKind::InvalidInput,
            "the target cannot be written: is it the database of the first authy, and may the role SELECT, INSERT and \
             UPDATE in users, role and user_role, DELETE from user_role, and use their sequences?",
            cause,
        ),
        Some(_) => db_error(cause),
        None if cause.is_closed() => {
            Error::with_source(ErrorKind::Unavailable, "the target database is not available", cause)
        }
        None => Error::with_source(ErrorKind::InvalidInput, "a column of the target has another type", cause),
    }
}
