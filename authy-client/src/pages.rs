//! Lists as streams: the next page is requested when the items of the current one have been taken.

use authy_core::{
    RoleName,
    api::{
        Endpoint, PathParams as _,
        event::{EventPage, EventQuery, EventView},
        page::PageSize,
        role::{ListRoleUsers, RoleUser, RoleUserPage, RoleUserQuery},
        user::{ListUsers, UserPage, UserQuery, UserView},
    },
};
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};

use crate::{Client, Error, Result, Session, transport::PreparedRequest};

impl Client {
    /// Returns all users from a query, in the order of the list, as a stream that requests page after page.
    ///
    /// It holds one page in memory, the largest one unless the query has another size, and ends after the first error. A user
    /// who is there all the time is in it once, whichever users are added or deleted meanwhile. The access token has to be
    /// valid until the last page: [`Session::users`] has a valid one for each.
    ///
    /// ```no_run
    /// use authy_client::{Client, api::user::UserQuery, futures_util::TryStreamExt as _};
    ///
    /// async fn print(administrator: &Client, query: UserQuery) -> authy_client::Result<()> {
    ///     let mut users = administrator.users(query);
    ///     while let Some(user) = users.try_next().await? {
    ///         println!("{}", user.username);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn users(&self, query: UserQuery) -> BoxStream<'static, Result<UserView>> {
        users(PageSource::Client(self.clone()), query)
    }

    /// Returns all members of a role, in the order in which they were granted it, as [`users`](Self::users).
    ///
    /// ```no_run
    /// use authy_client::{Client, RoleName, futures_util::TryStreamExt as _};
    ///
    /// async fn print(administrator: &Client, role: RoleName) -> authy_client::Result<()> {
    ///     let mut members = administrator.role_users(role);
    ///     while let Some(member) = members.try_next().await? {
    ///         println!("{}", member.name);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn role_users(&self, role: RoleName) -> BoxStream<'static, Result<RoleUser>> {
        role_users(PageSource::Client(self.clone()), role)
    }

    /// Returns the events of the audit trail from a query, as a stream that requests page after page.
    ///
    /// It holds one page in memory, the largest one unless the query has another size, and ends after the first error: [`EventView::cursor`] of the last event is the
    /// `after` of a query that continues behind it. The access token has to be valid until the last page:
    /// [`Session::events`] has a valid one for each.
    ///
    /// ```no_run
    /// use authy_client::{Client, api::event::EventQuery, futures_util::TryStreamExt as _};
    ///
    /// async fn count(administrator: &Client, query: EventQuery) -> authy_client::Result<usize> {
    ///     administrator.events(query).try_fold(0, async |count, _| Ok(count + 1)).await
    /// }
    /// ```
    pub fn events(&self, query: EventQuery) -> BoxStream<'static, Result<EventView>> {
        events(PageSource::Client(self.clone()), query)
    }

    /// Requests another page of a list by its link.
    async fn follow_link<E: Endpoint>(&self, path: &E::Path, link: &str) -> Result<E::Response> {
        if !is_link_to(&path.fill(E::INFO.path), link) {
            return Err(Error::unexpected_response(200, "the link to the next page leads elsewhere"));
        }
        self.send(PreparedRequest::get(link.to_owned())).await
    }
}

impl Session {
    /// Returns all users from a query, as [`Client::users`], with an access token that is valid for each page.
    ///
    /// ```no_run
    /// use authy_client::{Session, api::user::UserQuery, futures_util::TryStreamExt as _};
    ///
    /// async fn count_deleted(administrator: &Session) -> authy_client::Result<usize> {
    ///     let deleted = UserQuery { deleted: Some(true), ..UserQuery::default() };
    ///     administrator.users(deleted).try_fold(0, async |count, _| Ok(count + 1)).await
    /// }
    /// ```
    pub fn users(&self, query: UserQuery) -> BoxStream<'static, Result<UserView>> {
        users(PageSource::Session(self.clone()), query)
    }

    /// Returns all members of a role, as [`Client::role_users`], with an access token that is valid for each page.
    pub fn role_users(&self, role: RoleName) -> BoxStream<'static, Result<RoleUser>> {
        role_users(PageSource::Session(self.clone()), role)
    }

    /// Returns the events of the audit trail from a query, as [`Client::events`], with an access token that is valid
    /// for each page.
    pub fn events(&self, query: EventQuery) -> BoxStream<'static, Result<EventView>> {
        events(PageSource::Session(self.clone()), query)
    }
}

/// Whose access token the request for a page has.
#[derive(Clone)]
enum PageSource {
    Client(Client),
    Session(Session),
}

impl PageSource {
    async fn client(&self) -> Result<Client> {
        match self {
            Self::Client(client) => Ok(client.clone()),
            Self::Session(session) => Ok(session.client().await?),
        }
    }
}

fn users(source: PageSource, mut query: UserQuery) -> BoxStream<'static, Result<UserView>> {
    query.per_page = query.per_page.or(Some(PageSize::MAX));
    items(NextPage::First(query), move |next| {
        let source = source.clone();
        async move {
            let client = source.client().await?;
            let UserPage { users, next_url, .. } = match next {
                NextPage::First(query) => client.list_users(query).await?,
                NextPage::Link(link) => client.follow_link::<ListUsers>(&(), &link).await?,
            };
            Ok((users, next_url.map(NextPage::Link)))
        }
    })
}

fn role_users(source: PageSource, role: RoleName) -> BoxStream<'static, Result<RoleUser>> {
    items(NextPage::First(RoleUserQuery::default()), move |next| {
        let (source, role) = (source.clone(), role.clone());
        async move {
            let client = source.client().await?;
            let RoleUserPage { users, next_url, .. } = match next {
                NextPage::First(query) => client.list_role_users(role, query).await?,
                NextPage::Link(link) => client.follow_link::<ListRoleUsers>(&(role,), &link).await?,
            };
            Ok((users, next_url.map(NextPage::Link)))
        }
    })
}

fn events(source: PageSource, mut query: EventQuery) -> BoxStream<'static, Result<EventView>> {
    query.limit = query.limit.or(Some(PageSize::MAX));
    items(query, move |query| {
        let source = source.clone();
        async move {
            let EventPage { events, next } = source.client().await?.list_events(query.clone()).await?;
            // An empty page is the last one: in ascending order its `next` is for a later request.
            let next = next.filter(|_| !events.is_empty());
            Ok((events, next.map(|next| EventQuery { after: Some(next), ..query })))
        }
    })
}

/// The request for a page of users.
enum NextPage<Q> {
    First(Q),
    /// Followed also from an empty page: the server examined a part of the list there, and found nobody.
    Link(String),
}

/// Returns the items of all pages. `fetch` returns those of one page, and the request for the next.
fn items<Q, T, F>(first: Q, fetch: impl Fn(Q) -> F + Send + 'static) -> BoxStream<'static, Result<T>>
where
    Q: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<(Vec<T>, Option<Q>)>> + Send + 'static,
{
    let pages = stream::try_unfold(Some(first), move |next| {
        let page = next.map(&fetch);
        async move {
            let Some(page) = page else { return Ok(None) };
            page.await.map(Some)
        }
    });
    pages.map_ok(|items| stream::iter(items.into_iter().map(Ok::<_, Error>))).try_flatten().boxed()
}

/// Maximum number of characters of a link's query: a cursor with the longest name or address, and the filters.
const MAX_QUERY: usize = 8000;

/// Returns whether a link is this path with a query, of the same server. With another one, the token would be sent to
/// where the link leads.
fn is_link_to(path: &str, link: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\');
    let query = link.strip_prefix(path).and_then(|rest| rest.strip_prefix('?'));
    query.is_some_and(|query| query.len() <= MAX_QUERY && query.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_to_another_page_of_the_list_is_followed_and_no_other() {
        for link in ["/authy/users?page=2", "/authy/users?after=1-2&q=a%26b+%C3%A9"] {
            assert!(is_link_to("/authy/users", link), "{link}");
        }
        for link in [
            "",
            "/authy/users",
            "/authy/users2?page=2",
            "/authy/users/../token?a=b",
            "//elsewhere/authy/users?page=2",
            "http://elsewhere/authy/users?page=2",
            "@elsewhere/authy/users?page=2",
            "/authy/users?page=2#x",
            "/authy/users?page=2 HTTP/1.1\r\nhost: elsewhere",
        ] {
            assert!(!is_link_to("/authy/users", link), "{link}");
        }
    }

    proptest! {
        #[test]
        fn a_link_that_is_followed_never_leaves_the_server(link in "\\PC*|(/authy/users)?[?/@:#.]{0,3}[ -~]{0,40}") {
            if is_link_to("/authy/users", &link) {
                let uri: Uri = format!("http://localhost:8080{link}").parse().unwrap();
                prop_assert_eq!(uri.authority().map(|host| host.as_str()), Some("localhost:8080"));
                prop_assert_eq!(uri.path(), "/authy/users");
            }
        }
    }
}
