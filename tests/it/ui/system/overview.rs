//! The overview, and the reference of events.

use super::*;

/// Returns the rows of the table of logins: the numbers of each hour, the newest first.
fn hours(page: &str) -> Vec<Vec<u64>> {
    let table = page.split("<table>").nth(1).unwrap().split("</table>").next().unwrap();
    let rows = table.split("<tbody>").nth(1).unwrap().split("<tr>").skip(1);
    let numbers = |row: &str| {
        let cells = row.split("<td class=\"number\">").skip(1);
        cells.map(|cell| cell.split('<').next().unwrap().parse().unwrap()).collect()
    };
    rows.map(numbers).collect()
}

#[tokio::test]
async fn the_overview_counts_logins_by_outcome_and_says_whose_they_are() {
    let app = app().await;
    let (root, mut visitor) = enter(&app, "superadmin").await;
    let mut stranger = Visitor::new(&app);
    stranger.get("/authy/ui/login").await;
    for _ in 0..2 {
        assert_eq!(stranger.log_in(&root.username, "not-the-password").await.status, 401);
    }
    let page = visitor.get("/authy/ui/admin").await;
    assert_eq!(page.status, 200, "{page:?}");
    let hours = hours(&page.body);
    // A new hour may have begun meanwhile.
    let total: Vec<u64> = (0..4).map(|group| hours.iter().map(|hour| hour[group]).sum()).collect();
    assert_eq!((hours.len() <= 2, total), (true, vec![2, 2, 0, 0]), "two logins here, and two wrong passwords");
    for part in ["<svg ", "class=\"succeeded\"", "class=\"refused\"", "Counted by all servers"] {
        assert!(page.body.contains(part), "{part}: {page:?}");
    }
    for part in ["class=\"failed\" x=", "style=", "<script"] {
        assert!(!page.body.contains(part), "{part}: {page:?}");
    }
    for text in ["Open sessions", "New users in 24 hours", "Revocations", "active", "no sink is configured"] {
        assert!(page.body.contains(text), "{text}: {page:?}");
    }
}

#[tokio::test]
async fn the_overview_has_all_servers_and_the_logins_of_each() {
    let app = app().await;
    let (_, mut visitor) = enter(&app, "admin").await;
    let other = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, http| with_pages(http)).await;
    let user = other.user().await;
    let background = other.authy.start_background_with(Vec::new()).await.unwrap();
    let wrong = authy_core::api::session::Credentials::new(&user.username, authy_core::Secret::new("wrong"));
    other.anonymous().login(wrong).await.unwrap_err();
    // Reported twice a minute, and at the end.
    background.stop().await;
    let rows = hours(&visitor.get("/authy/ui/admin").await.body);
    let total: Vec<u64> = (0..4).map(|group| rows.iter().map(|hour| hour[group]).sum()).collect();
    assert!(total[0] >= 2 && total[1] == 1, "those of the other server count: {total:?}");
    let page = visitor.get("/authy/ui/admin").await;
    assert!(page.body.contains(">answers</span>"), "{page:?}");
    let sql = app.sql().await;
    let stopped = "SELECT count(*) FROM authy.instance WHERE stopped";
    assert_eq!(sql.query_one(stopped, &[]).await.unwrap().get::<_, i64>(0), 1);
    // One that was killed.
    let killed =
        "UPDATE authy.instance SET stopped = false, host = 'crashed.example', seen = seen - interval '5 minutes'
                  WHERE stopped";
    sql.execute(killed, &[]).await.unwrap();
    let page = visitor.get("/authy/ui/admin").await;
    assert!(page.body.contains("crashed.example") && page.body.contains(">not seen since "), "{page:?}");
    let forgotten = "UPDATE authy.instance SET seen = now() - interval '26 hours' WHERE host = 'crashed.example'";
    sql.execute(forgotten, &[]).await.unwrap();
    assert!(!visitor.get("/authy/ui/admin").await.body.contains("crashed.example"));
    let _background = app.authy.start_background_with(Vec::new()).await.unwrap();
    let old = "SELECT count(*) FROM authy.instance WHERE host = 'crashed.example'";
    until("it is forgotten", async || sql.query_one(old, &[]).await.unwrap().get::<_, i64>(0) == 0).await;
}

#[tokio::test]
async fn the_overview_shows_the_sinks_that_are_stuck() {
    let app = sinks::app(false).await;
    let (_, visitor) = enter(&app, "admin").await;
    let subject = app.user().await;
    sinks::until_stuck(&app, subject.id).await;
    // Measured every ten seconds.
    let shown = std::sync::Mutex::new(visitor);
    authy_tests::until_within(std::time::Duration::from_secs(30), "the lag is shown", || async {
        let mut visitor = std::mem::replace(&mut *shown.lock().unwrap(), Visitor::new(&app));
        let page = visitor.get("/authy/ui/admin").await;
        *shown.lock().unwrap() = visitor;
        page.body.contains("recorder") && page.body.contains(" stuck</span>")
    })
    .await;
}

#[tokio::test]
async fn a_server_that_has_measured_no_sinks_shows_those_in_the_database() {
    let app = sinks::app(false).await;
    let subject = app.user().await;
    sinks::until_stuck(&app, subject.id).await;
    // Its background work has no sinks, so it measures none.
    let other = TestApp::on(app.database.clone(), app.master_keys.clone(), |_, http| with_pages(http)).await;
    let (_, mut visitor) = enter(&other, "admin").await;
    let page = visitor.get("/authy/ui/admin").await;
    assert!(other.authy.statistics().relay.is_none());
    assert!(page.body.contains("<strong>recorder</strong>") && page.body.contains(" stuck</span>"), "{page:?}");
    assert!(!page.body.contains("no sink is configured") && !page.body.contains("Measured "), "{page:?}");
}

#[tokio::test]
async fn the_reference_of_events_is_for_everybody_and_has_every_kind() {
    let app = app().await;
    let page = get(app.address, "/authy/docs/events").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for kind in EventKind::ALL {
        assert!(page.body.contains(&format!("<h2 id=\"{kind}\">")), "{kind}");
    }
    assert!(page.body.contains("code_id") && page.body.contains("asyncapi.json"), "{page:?}");
    let unknown = get(app.address, "/authy/docs/nothing").await;
    assert_eq!((unknown.status, unknown.header("content-type")), (404, "text/html; charset=utf-8"));
}
