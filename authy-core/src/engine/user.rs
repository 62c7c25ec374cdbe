//! Users: signed up, looked at, deleted. A deleted user keeps the row, so that nobody takes the name.

use std::time::SystemTime;

use serde_json::json;
use tokio_postgres::{Row, Transaction, error::SqlState};

use super::{
    Authy, Caller, Page,
    actor::{Actor, lock_live, no_such_user},
    db::{Params, db_error},
    event::{Event, Write},
    feed::Void,
    password::UserInputs,
    role, session,
    uncommitted::{Uncommitted, join, join_with},
};
use crate::{
    Email, Error, ErrorKind, Level, Result, RoleName, Secret, Timestamp, UserId, Username,
    api::{
        event::EventKind,
        page::{PageNumber, PageSize},
        user::{Details, NewUser, OwnView, UserRoles, UserView},
    },
    name::Stored,
};

mod account;
mod claim;
mod door;
mod export;
mod lookalike;
mod recovery;
mod register;
mod removal;
pub(super) mod sql;
mod validation;

pub(super) use door::{Sessions, pass};
pub(super) use lookalike::{protect, reserved};
pub(super) use validation::{Resent, Shown};

pub use account::PreparedChange;
pub use recovery::PreparedReset;
pub use register::Registration;

impl Authy {
    /// One user, deleted or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn find_user(&self, user: UserId) -> Result<Option<UserView>> {
        self.db().read_opt(&sql::FIND, &[user.as_uuid()]).await?.as_ref().map(view).transpose()
    }

    /// A page of all users, deleted ones included, in the order of their creation; `q` is the beginning of a username or
    /// an email.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn list_users(&self, page: PageNumber, per_page: PageSize, q: Option<&str>) -> Result<Page<UserView>> {
        let (limit, offset) = Page::<()>::window(page.get(), per_page.get());
        let (rows, total) = match q {
            None => {
                let rows = self.db().list(&sql::LIST, &[&limit, &offset]).await?;
                (rows, self.db().count(&sql::COUNT, &[]).await?)
            }
            Some(prefix) => {
                // PostgreSQL's text holds no NUL, so nobody's name begins with one.
                let Some((from, to)) = range(prefix) else { return Ok(Page { items: Vec::new(), total: 0 }) };
                let rows = self.db().list(&sql::SEARCH, &[&from, &to, &from, &to, &limit, &offset]).await?;
                (rows, self.db().count(&sql::COUNT_FOUND, &[&from, &to, &from, &to]).await?)
            }
        };
        let items = rows.iter().map(view).collect::<Result<_>>()?;
        Ok(Page { items, total: total.get::<_, i64>(0).unsigned_abs() })
    }

    /// The name of a user; a deleted one has none that anybody may ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn find_username(&self, user: UserId) -> Result<Option<Username>> {
        let row = self.db().read_opt(&sql::FIND_USERNAME, &[user.as_uuid()]).await?;
        row.map(|row| checked(row.get(0))).transpose()
    }

    /// The user of a name, unless deleted.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn find_user_id(&self, name: &Username) -> Result<Option<UserId>> {
        Ok(self.db().read_opt(&sql::FIND_ID, &[&name.key()]).await?.map(|row| id(&row, "public_id")))
    }

    /// The name and the roles, most powerful first, of a user, deleted or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the database is away.
    pub async fn find_user_roles(&self, user: UserId) -> Result<Option<UserRoles>> {
        let Some(found) = self.find_user(user).await? else { return Ok(None) };
        let roles = role::views(&self.db().read(&role::sql::LIST_OF_USER, &[user.as_uuid()]).await?)?;
        Ok(Some(UserRoles { username: found.username, public_id: user, roles }))
    }
}

/// Begins a new epoch of the user's; what is void by that.
async fn begin_epoch(tx: &Transaction<'_>, user: UserId) -> Result<Void> {
    let row = sql::BEGIN_EPOCH.row(tx, &[user.as_uuid()]).await?;
    let row = row.ok_or_else(no_such_user)?;
    Ok(Void::User { public_id: user, ver: row.get::<_, i64>("ver").unsigned_abs() })
}

fn view(row: &Row) -> Result<UserView> {
    let time = |column| row.get::<_, Option<SystemTime>>(column).map(Timestamp::from);
    let delete_date = time("deleted_at");
    Ok(UserView {
        public_id: id(row, "public_id"),
        username: checked(row.get("username"))?,
        email: checked(row.get("email"))?,
        created: row.get::<_, SystemTime>("created").into(),
        last_login: time("last_login"),
        validated: time("validated_at").is_some(),
        deleted: delete_date.is_some(),
        delete_date,
        details: row.get::<_, Option<&str>>("details").and_then(|state| match state {
            "waiting" => Some(Details::Pending),
            "delivered" => Some(Details::Created),
            "given_up" => Some(Details::Failed),
            _ => None,
        }),
    })
}

impl From<UserView> for OwnView {
    fn from(user: UserView) -> Self {
        let UserView { public_id, username, email, created, last_login, .. } = user;
        Self { public_id, username, email, created, last_login }
    }
}

pub(super) fn id(row: &Row, column: &str) -> UserId {
    UserId::from(row.get::<_, uuid::Uuid>(column))
}

/// A checked type from a column. It was checked on its way in, by the rule of that time: what is stored is always shown. A
/// `Result` because it is read among columns that can be wrong.
pub(super) fn checked<T: Stored>(text: String) -> Result<T> {
    Ok(T::stored(text))
}

/// The range of keys that begin with a prefix, the end excluded; `None` when no key can.
fn range(prefix: &str) -> Option<(String, String)> {
    let from = crate::name::identifier::caseless(prefix);
    (!from.contains('\0')).then(|| (from.clone(), from + "\u{10ffff}"))
}
