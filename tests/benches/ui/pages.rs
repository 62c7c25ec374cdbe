//! The pages that are measured.

use authy_core::{
    RoleName,
    api::{page::PageNumber, user::UserQuery},
};
use authy_tests::{TestApp, credentials};
use tokio_postgres::Client;

/// What they are, and their paths, with the names of [`places`] in braces. A question is shown before something is done.
pub(crate) const PAGES: [(&str, &str); 43] = [
    ("login: no query", "/authy/ui/login"),
    ("reference of events: no query", "/authy/docs/events"),
    ("account", "/authy/ui/account"),
    ("sessions", "/authy/ui/account/sessions"),
    ("overview", "/authy/ui/admin"),
    ("users", "/authy/ui/admin/users"),
    ("users, by prefix", "/authy/ui/admin/users?q=u-12"),
    ("users, deleted", "/authy/ui/admin/users?deleted=true"),
    ("users, of a role", "/authy/ui/admin/users?role=user"),
    ("users, by everything", "/authy/ui/admin/users?q=u-12&role=user&validated=false&deleted=false"),
    ("users, a later page", "/authy/ui/admin/users?after={later_users}"),
    ("users, a later page of a role", "/authy/ui/admin/users?role=user&after={later_users_of_role}"),
    ("a user", "/authy/ui/admin/users/{id}"),
    ("roles", "/authy/ui/admin/roles"),
    ("a role", "/authy/ui/admin/roles/user"),
    ("events", "/authy/ui/admin/events"),
    ("events, of a kind", "/authy/ui/admin/events?kind=account.throttled"),
    ("events, of a kind that there is not", "/authy/ui/admin/events?kind=issuer.changed"),
    ("events, of a user", "/authy/ui/admin/events?user={id}"),
    (
        "events, by everything",
        "/authy/ui/admin/events?user=u-5000&kind=session.opened&since=2019-06-11&until=2100-01-01",
    ),
    ("events, a later page", "/authy/ui/admin/events?after={later_events}"),
    ("events, a later page of a kind", "/authy/ui/admin/events?kind=account.throttled&after={later_events}"),
    ("signing keys", "/authy/ui/admin/keys"),
    ("sinks", "/authy/ui/admin/sinks"),
    ("sinks, one of them", "/authy/ui/admin/sinks?sink=mail"),
    ("sinks, later pages", "/authy/ui/admin/sinks?after={later_repeated}&given_up_after={later_given_up}"),
    ("a user with stuck deliveries", "/authy/ui/admin/users/{stuck}"),
    ("question: reset", "/authy/ui/admin/users/{id}/reset"),
    ("question: unlock", "/authy/ui/admin/users/{id}/unlock"),
    ("question: end a session", "/authy/ui/admin/users/{id}/sessions/{session}"),
    ("question: end all sessions", "/authy/ui/admin/users/{id}/end-sessions"),
    ("question: delete", "/authy/ui/admin/users/{id}/delete"),
    ("question: erase", "/authy/ui/admin/users/{id}/erase"),
    ("question: restore", "/authy/ui/admin/users/{deleted}/restore"),
    ("question: grant", "/authy/ui/admin/users/{id}/grant?role=admin"),
    ("question: delete a role", "/authy/ui/admin/roles/user/delete"),
    ("question: rotate", "/authy/ui/admin/keys/rotate"),
    ("question: revoke a key", "/authy/ui/admin/keys/{key}/revoke"),
    ("question: retry", "/authy/ui/admin/sinks/mail/{repeated}/retry"),
    ("question: skip", "/authy/ui/admin/sinks/mail/{repeated}/skip"),
    ("question: dismiss", "/authy/ui/admin/sinks/webhook/{given_up}/dismiss"),
    ("form: invite", "/authy/ui/admin/create-user"),
    ("form: create a role", "/authy/ui/admin/create-role"),
];

/// Returns what is in the place of the names in the paths. `stuck` is a user about whom deliveries are stuck; the later pages
/// begin behind 2,000 users, 50,000 events and 5,000 deliveries.
pub(crate) async fn places(app: &TestApp, sql: &Client) -> Vec<(&'static str, String)> {
    let users = app.authy.users();
    let of = async |name: &str| users.find_named(&name.parse().unwrap()).await.unwrap().unwrap().public_id;
    let (id, stuck, deleted) = (of("u-5000").await, of("u-1").await, of("u-3").await);
    // Those that the database was filled with are too old to be listed.
    app.anonymous().login(credentials("u-5000")).await.unwrap();
    let later = async |role: Option<RoleName>| {
        let query = UserQuery { page: Some(PageNumber::new(100).unwrap()), role, ..UserQuery::default() };
        users.list(&query).await.unwrap().next.unwrap().to_string()
    };
    let text = async |query: &str| sql.query_one(query, &[]).await.unwrap().get::<_, String>(0);
    let micros = "(extract(epoch FROM happened) * 1000000)::bigint || '.' || event_id";
    let after = |state: &str| {
        let of_state = format!("state = '{state}' AND attempts > 0 ORDER BY happened, event_id OFFSET 5000 LIMIT 1");
        format!("SELECT {micros} || '.' || sink FROM authy.delivery WHERE {of_state}")
    };
    let one = |sink: &str, state: &str| {
        let of_state = format!("sink = '{sink}' AND state = '{state}' AND attempts > 0 LIMIT 1");
        format!("SELECT event_id::text FROM authy.delivery WHERE {of_state}")
    };
    let events = format!("SELECT {micros} FROM authy.event ORDER BY happened DESC, event_id DESC OFFSET 50000 LIMIT 1");
    vec![
        ("{id}", id.to_string()),
        ("{stuck}", stuck.to_string()),
        ("{deleted}", deleted.to_string()),
        ("{session}", app.authy.sessions().list_of(id).await.unwrap()[0].session_id.to_string()),
        ("{key}", app.authy.keys().list().await.unwrap()[0].kid.clone()),
        ("{repeated}", text(&one("mail", "waiting")).await),
        ("{given_up}", text(&one("webhook", "given_up")).await),
        ("{later_users}", later(None).await),
        ("{later_users_of_role}", later(Some("user".parse().unwrap())).await),
        ("{later_events}", text(&events).await),
        ("{later_repeated}", text(&after("waiting")).await),
        ("{later_given_up}", text(&after("given_up")).await),
    ]
}
