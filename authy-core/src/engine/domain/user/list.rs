//! The list of users.

use super::{Users, sql, view};
use crate::{
    Result,
    api::{
        page::{PageNumber, PageSize},
        user::{UserQuery, UserView},
    },
    engine::{
        domain::role,
        storage::{
            page::{ListPage, window},
            statement::Params,
        },
    },
    name::identifier::caseless,
};

impl Users {
    /// Returns a page of the users whom a filter selects, deleted ones included, ordered by creation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such role;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the database is not available.
    pub async fn list(&self, query: &UserQuery) -> Result<ListPage<UserView>> {
        let UserQuery { page, per_page, q, role, deleted, validated } = query;
        let page = page.unwrap_or(PageNumber::FIRST);
        let (limit, offset) = window(page.get(), per_page.unwrap_or(PageSize::DEFAULT).get());
        let prefix = q.as_deref().map(caseless);
        if prefix.as_ref().is_some_and(|prefix| prefix.contains('\0')) {
            // PostgreSQL's text contains no NUL, so no stored name begins with one.
            return Ok(ListPage { items: Vec::new(), total: 0 });
        }
        let end = prefix.as_ref().map(|prefix| format!("{prefix}\u{10ffff}"));
        let (rows, total) = match role {
            None => {
                let params: Params<'_> = &[&prefix, &end, deleted, validated, &limit, &offset];
                let rows = self.db().list_lagging(&sql::LIST, params).await?;
                (rows, self.db().count_lagging(&sql::COUNT, &[&prefix, &end, deleted, validated]).await?)
            }
            Some(role) => {
                let role = self.db().read_opt(&role::sql::FIND_ID, &[&role.key()]).await?;
                let role: i32 = role.ok_or_else(role::unknown)?.get("role_id");
                let params: Params<'_> = &[&prefix, &end, deleted, validated, &role, &limit, &offset];
                let rows = self.db().list_lagging(&sql::LIST_WITH_ROLE, params).await?;
                let params: Params<'_> = &[&prefix, &end, deleted, validated, &role];
                (rows, self.db().count_lagging(&sql::COUNT_WITH_ROLE, params).await?)
            }
        };
        Ok(ListPage { items: rows.iter().map(view).collect(), total: total.get::<_, i64>(0).unsigned_abs() })
    }
}
