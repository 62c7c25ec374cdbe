//! The audit trail: filters in the address, pages by position, and files.

use std::time::Duration;

use authy_core::api::event::{EventQuery, EventView};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::*;

const PAGE: &str = "/authy/ui/admin/events";

/// Returns the IDs of the events on a page, in its order.
fn shown(page: &Answer) -> Vec<String> {
    let ids = page.body.split("&quot;event_id&quot;: &quot;").skip(1);
    ids.map(|rest| rest.split('&').next().unwrap().to_owned()).collect()
}

/// Returns the address of a link.
fn link(page: &Answer, text: &str) -> Option<String> {
    let before = page.body.split(&format!(">{text}</a>")).next().filter(|before| before.len() < page.body.len())?;
    let link = before.rsplit("href=\"").next()?.split('"').next()?;
    Some(link.replace("&amp;", "&"))
}

async fn ids(app: &TestApp, query: EventQuery) -> Vec<String> {
    let mut found = Vec::new();
    let mut query = query;
    loop {
        let page = app.authy.events().list(&query).await.unwrap();
        found.extend(page.events.iter().map(|event| event.event_id.to_string()));
        let Some(next) = page.next else { return found };
        query.after = Some(next);
    }
}

#[tokio::test]
async fn events_are_filtered_by_user_kind_and_time_and_the_address_has_the_filter() {
    let app = app().await;
    let (_, mut visitor) = enter(&app, "admin").await;
    let (ada, other) = (app.user().await, app.user().await);
    let of_ada = ids(&app, EventQuery { user: Some(ada.id), ..EventQuery::default() }).await;
    let of_other = ids(&app, EventQuery { user: Some(other.id), ..EventQuery::default() }).await;
    assert!(of_ada.len() > 1 && of_other.len() > 1);
    for user in [ada.username.clone(), ada.id.to_string(), ada.username.to_uppercase()] {
        let page = visitor.get(&format!("{PAGE}?user={user}&kind=&since=&until=")).await;
        assert_eq!((page.status, shown(&page)), (200, of_ada.clone()), "{user}");
    }
    let page = visitor.get(&format!("{PAGE}?user={}&kind=session.opened", ada.username)).await;
    assert_eq!(shown(&page).len(), 1, "{page:?}");
    assert!(page.body.contains("<option value=\"session.opened\" selected>Logged in</option>"), "{page:?}");
    // By time: nothing before the events, and nothing after them.
    let sql = app.sql().await;
    let query = "SELECT to_char(max(happened) + interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI') FROM authy.event";
    let later: String = sql.query_one(query, &[]).await.unwrap().get(0);
    for (field, expected) in [("since", 0), ("until", of_ada.len())] {
        let page = visitor.get(&format!("{PAGE}?user={}&{field}={later}", ada.username)).await;
        assert_eq!(shown(&page).len(), expected, "{field}");
    }
    assert_eq!(shown(&visitor.get(&format!("{PAGE}?user={}&until=2019-06-11", ada.username)).await).len(), 0);
    assert_eq!(shown(&visitor.get(&format!("{PAGE}?user={}&since=2019-06-11", ada.username)).await), of_ada);
    // What is wrong is said beside its field, and nothing is shown.
    for (query, text) in [
        ("user=nobody-at-all", "Nobody has this name."),
        ("user=%00", "Nobody has this name."),
        ("kind=user.promoted", "There is no such kind."),
        ("since=yesterday", "Write it as"),
        ("until=2019-13-01", "Write it as"),
    ] {
        let page = visitor.get(&format!("{PAGE}?{query}")).await;
        assert_eq!((page.status, shown(&page).len()), (400, 0), "{query}: {page:?}");
        assert!(page.body.contains(text) && link(&page, "Download as CSV").is_none(), "{query}: {page:?}");
        let field = query.split('=').next().unwrap();
        for part in
            ["aria-invalid=\"true\"", &format!("aria-describedby=\"{field}-error\""), &format!("id=\"{field}-error\"")]
        {
            assert!(page.body.contains(part), "{query} lacks {part}: {page:?}");
        }
        assert_eq!(visitor.get(&format!("{PAGE}/export?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_time_is_shown_as_a_browser_can_send_it_again_and_a_wrong_one_to_be_corrected() {
    let app = app().await;
    let (_, mut visitor) = enter(&app, "admin").await;
    for (typed, shown) in [
        ("2019-06-11", "2019-06-11T00:00:00"),
        ("2019-06-11T10:03", "2019-06-11T10:03:00"),
        ("2019-06-11T10:03:09Z", "2019-06-11T10:03:09"),
        ("2019-06-11T12:03:09%2B02:00", "2019-06-11T10:03:09"),
    ] {
        for name in ["since", "until"] {
            let page = visitor.get(&format!("{PAGE}?{name}={typed}")).await;
            let field = format!("name=\"{name}\" type=\"datetime-local\" step=\"1\" value=\"{shown}\"");
            assert!(page.status == 200 && page.body.contains(&field), "{typed}: {page:?}");
        }
    }
    let page = visitor.get(&format!("{PAGE}?since=yesterday&until=2019-06-11")).await;
    for field in
        ["name=\"since\" type=\"text\" value=\"yesterday\"", "type=\"datetime-local\" step=\"1\" value=\"2019-"]
    {
        assert!(page.status == 400 && page.body.contains(field), "{field}: {page:?}");
    }
}

#[tokio::test]
async fn older_pages_keep_the_filter_and_every_event_is_on_one_of_them() {
    let app = app().await;
    let (_, mut visitor) = enter(&app, "admin").await;
    let ada = app.user().await;
    for _ in 0..60 {
        app.again(&ada).await;
    }
    let filter = format!("{PAGE}?user={}", ada.username);
    let first = visitor.get(&filter).await;
    assert!(link(&first, "Newest events").is_none());
    let older = link(&first, "Older events").unwrap();
    assert!(older.starts_with(&format!("{filter}&after=")), "{older}");
    let second = visitor.get(&older).await;
    assert_eq!(link(&second, "Newest events"), Some(filter));
    assert!(link(&second, "Older events").is_none());
    let all = [shown(&first), shown(&second)].concat();
    assert_eq!(all, ids(&app, EventQuery { user: Some(ada.id), ..EventQuery::default() }).await);
}

#[tokio::test]
async fn events_are_downloaded_as_lines_of_json_and_as_a_table_without_formulas() {
    let app = app().await;
    let (_, mut visitor) = enter(&app, "admin").await;
    let ada = app.user().await;
    let agent = "=HYPERLINK(\"http://evil.example\",\"x\")";
    let head = format!("POST /authy/login HTTP/1.1\ncontent-type: application/json\nuser-agent: {agent}");
    let login = serde_json::json!({ "username": ada.username, "password": PASSWORD }).to_string();
    assert_eq!(send(app.address, &head, &login).await.status, 200);
    let page = visitor.get(&format!("{PAGE}?user={}", ada.username)).await;
    let expected = ids(&app, EventQuery { user: Some(ada.id), ..EventQuery::default() }).await;

    let lines = visitor.get(&link(&page, "Download as JSON lines").unwrap()).await;
    assert_eq!((lines.status, lines.header("content-type")), (200, "application/x-ndjson"));
    let events: Vec<EventView> = lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().map(|event| event.event_id.to_string()).collect::<Vec<_>>(), expected);
    assert_eq!(events[0].user_agent.as_deref(), Some(agent), "JSON is not changed");

    let table = visitor.get(&link(&page, "Download as CSV").unwrap()).await;
    assert_eq!((table.status, table.header("content-type")), (200, "text/csv; charset=utf-8; header=present"));
    assert_eq!(table.header("content-disposition"), "attachment; filename=\"events.csv\"");
    assert_eq!((table.header("cache-control"), table.header("x-content-type-options")), ("no-store", "nosniff"));
    let rows: Vec<&str> = table.body.split("\r\n").filter(|row| !row.is_empty()).collect();
    assert_eq!(rows.len(), 1 + expected.len(), "{table:?}");
    assert!(rows[0].starts_with("event_id,happened,kind,") && rows[1].starts_with(&expected[0]), "{table:?}");
    assert!(rows[1].contains(&format!(",{},", ada.username)), "{}", rows[1]);
    assert!(rows[1].contains("\"'=HYPERLINK(\"\"http://evil.example\"\""), "{}", rows[1]);
    // A HEAD reads nothing.
    let head = visitor.send(&format!("HEAD {PAGE}/export?format=csv HTTP/1.1\nsec-fetch-site: none"), "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(visitor.get(&format!("{PAGE}/export?format=xlsx")).await.status, 400);
}

/// Adds events of logins to the trail.
async fn fill(app: &TestApp, number: i64) {
    let sql = app.sql().await;
    let insert = "INSERT INTO authy.event (event_id, happened, kind, origin, ip, user_agent)
                  SELECT gen_random_uuid(), now() - make_interval(secs => n), 'account.throttled', 'stranger',
                         '203.0.113.7', repeat('Mozilla ', 20)
                  FROM generate_series(1, $1::bigint) AS n";
    sql.execute(insert, &[&number]).await.unwrap();
}

#[tokio::test]
async fn a_download_ends_when_the_login_ends_that_began_it() {
    let app = app().await;
    let (user, visitor) = enter(&app, "admin").await;
    // More than what the buffers of a connection hold.
    fill(&app, 60_000).await;
    let cookies: Vec<_> = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!("GET {PAGE}/export?format=jsonl HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", cookies.join("; "));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = vec![0; 1000];
    stream.read_exact(&mut read).await.unwrap();
    app.authy.sessions().end_all(&authy_tests::operator(), user.id).await.unwrap();
    // The rest, as far as it comes. A connection that is aborted may be reset.
    drop(timeout(Duration::from_secs(30), stream.read_to_end(&mut read)).await.expect("it goes on"));
    let read = String::from_utf8_lossy(&read);
    assert!(read.starts_with("HTTP/1.1 200"), "{}", &read[..100]);
    let lines = read.matches("\"event_id\"").count();
    assert!((1..60_000).contains(&lines), "{lines}");
    assert!(!read.ends_with("0\r\n\r\n"), "it is not taken for a complete one");
}

#[tokio::test]
async fn four_files_are_written_at_a_time_and_the_fifth_says_why_it_is_not() {
    let app = app().await;
    let (_, mut visitor) = enter(&app, "admin").await;
    // More than what the buffers of a connection hold.
    fill(&app, 60_000).await;
    let cookies: Vec<_> = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let head = format!("GET {PAGE}/export?format=jsonl HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", cookies.join("; "));
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut read = [0; 12];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"HTTP/1.1 200");
        running.push(stream);
    }
    let refused = visitor.get(&format!("{PAGE}/export?format=csv")).await;
    assert_eq!((refused.status, refused.header("content-type")), (503, "text/html; charset=utf-8"), "{refused:?}");
    assert!(refused.body.contains("4 downloads are running") && !refused.body.contains("logging in"), "{refused:?}");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    // A page is no download.
    assert_eq!(visitor.get(PAGE).await.status, 200);
    drop(running.pop());
    let shown = std::sync::Mutex::new(visitor);
    until("there is room for another one", || async {
        let mut visitor = std::mem::replace(&mut *shown.lock().unwrap(), Visitor::new(&app));
        let status = visitor.get(&format!("{PAGE}/export?format=csv&kind=issuer.changed")).await.status;
        *shown.lock().unwrap() = visitor;
        status == 200
    })
    .await;
}
