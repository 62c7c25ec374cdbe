//! The lists of users: of all users, and of the members of a role. `list/sql.rs` explains what bounds the cost of a page.

use super::{Users, view};
use crate::{
    Result, RoleName,
    api::{
        page::{
            ListCursor, PageNumber, PageSize,
            cursor::{ListPosition, invalid_cursor},
        },
        role::{RoleUser, RoleUserQuery, RoleView},
        user::{UserQuery, UserView},
    },
    engine::{
        domain::role::{self, Roles},
        storage::{db::Db, page::ListPage},
    },
    error::Error,
    name::search_key,
};

mod filter;
mod scan;
pub(in crate::engine) mod sql;
mod total;

use filter::Filter;
use scan::Scan;

/// Number of users per page of the members of a role.
const MEMBERS_A_PAGE: u32 = 20;

impl Users {
    /// Returns a page of the users whom a filter selects, deleted ones included.
    ///
    /// They are ordered by creation; with `role`, in the order in which they were granted it; with `q`, by the name or
    /// the address that begins with it, alphabetically. A page has fewer users than requested, and nevertheless a
    /// [`next`](ListPage::next), when the filters select few among the 10,000 users that were examined for it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such role, or the cursor belongs to
    /// other filters; [`ErrorKind::PageTooFar`](crate::ErrorKind::PageTooFar) when more than 40,000 users would have to
    /// be examined to find the page by its number; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the
    /// database is not available.
    pub async fn list(&self, query: &UserQuery) -> Result<ListPage<UserView>> {
        let UserQuery { page, per_page, q, role, deleted, validated, after } = query;
        // A search box that was left empty searches nothing.
        let prefix = q.as_deref().filter(|q| !q.is_empty()).map(search_key);
        if prefix.as_ref().is_some_and(|prefix| prefix.contains('\0')) {
            // PostgreSQL's text contains no NUL, so no stored name begins with one.
            return Ok(ListPage::empty());
        }
        let role = match role {
            None => None,
            Some(role) => {
                let found = self.db().read_opt(&role::sql::FIND_ID, &[&role.key()]).await?;
                Some(found.ok_or_else(role::unknown)?.get("role_id"))
            }
        };
        let prefix = prefix.map(|prefix| (format!("{prefix}\u{10ffff}"), prefix)).map(|(end, prefix)| (prefix, end));
        let filter = Filter { list: "users", prefix, role, deleted: *deleted, validated: *validated };
        let size = per_page.unwrap_or(PageSize::DEFAULT).get();
        list(self.db(), &filter, Start::new(&filter, *page, after.as_ref(), size)?, size).await
    }
}

// Here and not with the roles, because modules that import each other are one module.
impl Roles {
    /// Returns a page of 20 users who have the role and are not deleted, in the order in which they were granted it; `None`
    /// when there is no such role. As [`Users::list`](crate::engine::Users::list) says, a page can have fewer users.
    ///
    /// # Errors
    /// As [`Users::list`](crate::engine::Users::list).
    pub async fn list_users(
        &self,
        name: &RoleName,
        query: &RoleUserQuery,
    ) -> Result<Option<(RoleView, ListPage<RoleUser>)>> {
        let Some(row) = self.db().read_opt(&role::sql::FIND, &[&name.key()]).await? else { return Ok(None) };
        let filter = Filter::members(row.get("role_id"));
        let start = Start::new(&filter, query.page, query.after.as_ref(), MEMBERS_A_PAGE)?;
        let page = list(self.db(), &filter, start, MEMBERS_A_PAGE).await?;
        let ListPage { items, total, total_is_estimate, next, previous } = page;
        let items = items.into_iter().map(|user| RoleUser { name: user.username, public_id: user.public_id }).collect();
        Ok(Some((role::view(&row), ListPage { items, total, total_is_estimate, next, previous })))
    }
}

/// Returns the cursor of the last page of all users or, with a role, of its members who are not deleted.
#[cfg(feature = "fuzz-entry-points")]
pub(in crate::engine) fn last_page(members_of: Option<i32>) -> ListCursor {
    let filter = match members_of {
        None => Filter { list: "users", prefix: None, role: None, deleted: None, validated: None },
        Some(role) => Filter::members(role),
    };
    filter.cursor(true, None)
}

/// Where a page starts, and in which direction it is read.
struct Start {
    /// `None` is the start of the list or, backward, its end.
    position: Option<ListPosition>,
    is_backward: bool,
    /// Number of selected users before the page: only without a position.
    offset: u32,
}

impl Start {
    fn new(filter: &Filter, page: Option<PageNumber>, after: Option<&ListCursor>, size: u32) -> Result<Self> {
        match after {
            Some(after) if filter.accepts(after) => {
                Ok(Self { position: after.position.clone(), is_backward: after.is_backward, offset: 0 })
            }
            Some(_) => Err(Error::invalid(vec![invalid_cursor().of("after")])),
            None => {
                let offset = (page.unwrap_or(PageNumber::FIRST).get() - 1) * size;
                Ok(Self { position: None, is_backward: false, offset })
            }
        }
    }

    fn is_first_page(&self) -> bool {
        self.position.is_none() && !self.is_backward && self.offset == 0
    }
}

async fn list(db: &Db, filter: &Filter, start: Start, size: u32) -> Result<ListPage<UserView>> {
    let total = total::count(db, filter).await?;
    let Scan { mut rows, more } = scan::read(db, filter, &start, size).await?;
    let to = |is_backward, position: Option<&ListPosition>| Some(filter.cursor(is_backward, position.cloned()));
    let continued = more.as_ref().and_then(|more| to(start.is_backward, Some(more)));
    let first_read = rows.first().map(|row| &row.position);
    // The way back from a page without a user is the end that was reached, or the position up to which was examined.
    let back = match (&start, first_read.or(more.as_ref())) {
        (start, _) if start.is_first_page() => None,
        // At the end of the list there is no next page.
        (Start { is_backward: true, position: None, .. }, _) => None,
        (Start { is_backward, .. }, Some(position)) => to(!is_backward, Some(position)),
        (Start { is_backward: false, .. }, None) if total.number == 0 => None,
        (Start { is_backward, .. }, None) => to(!is_backward, None),
    };
    let (next, previous) = if start.is_backward { (back, continued) } else { (continued, back) };
    if start.is_backward {
        rows.reverse();
    }
    let items = rows.into_iter().map(|row| row.user).collect();
    Ok(ListPage { items, total: total.number, total_is_estimate: total.is_estimate, next, previous })
}
