//! What changes something asks for the password when the login is not recent.

use super::*;

#[tokio::test]
async fn whatever_changes_something_needs_a_recent_login() {
    let app = app().await;
    let (root, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    let session = sessions_of(&app, subject.id).await[0];
    let sql = app.sql().await;
    sql.execute("UPDATE authy.session SET created = created - interval '20 minutes'", &[]).await.unwrap();
    let count = async || sql.query_one("SELECT count(*) FROM authy.event", &[]).await.unwrap().get::<_, i64>(0);
    let before = count().await;
    let mut asked = 0;
    for (route, methods, _) in MATRIX.iter().filter(|(_, _, visitors)| [Administrator, FullPower].contains(visitors)) {
        let path = route.replace("{public_id}", &subject.id.to_string()).replace("{role_name}", "user");
        let path = super::path(&path.replace("{session_id}", &session.to_string()));
        for method in methods.split(' ') {
            let answer = match method {
                "GET" => visitor.get(&path).await,
                _ => visitor.post(&path, "").await,
            };
            let again = answer.header("location").starts_with("/authy/ui/again?return=");
            assert_eq!(answer.status == 303 && again, methods.contains("POST"), "{method} {path}: {answer:?}");
            asked += u32::from(again);
        }
    }
    assert!(asked > 20, "{asked}");
    assert_eq!(count().await, before, "nothing has happened");
    // With the password it goes on where it was.
    let page = of(subject.id, "/grant?role=admin");
    let again = visitor.get(&page).await.header("location").to_owned();
    assert_eq!(visitor.get(&again).await.status, 200);
    let back = page.replace('?', "%3F").replace('=', "%3D");
    let answer = visitor.post("/authy/ui/again", &format!("password={PASSWORD}&return={back}")).await;
    assert_eq!((answer.status, answer.header("location")), (303, page.as_str()), "{answer:?}");
    assert_eq!(visitor.get(&page).await.status, 200);
    assert_eq!(visitor.post(&page, "").await.status, 303);
    assert_eq!(held(&app, subject.id).await, ["admin", "user"]);
    assert_eq!(held(&app, root.id).await, ["superadmin"]);
}

#[tokio::test]
async fn a_page_that_was_opened_in_time_can_be_read_for_a_minute() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    let sql = app.sql().await;
    sql.execute("UPDATE authy.session SET created = created - interval '570 seconds'", &[]).await.unwrap();
    let page = of(subject.id, "/unlock");
    assert_eq!(visitor.get(&page).await.status, 303, "the page is not opened any more");
    let answer = visitor.post(&page, "").await;
    assert_eq!(answer.header("location"), of(subject.id, "?notice=unlock_done"), "{answer:?}");
}

#[tokio::test]
async fn a_token_without_a_login_opens_no_page_that_changes_something() {
    let app = app().await;
    let root = app.superadmin().await;
    let subject = app.user().await;
    // As somebody has it who stole it from a program of the operator.
    let token = app.authy.sessions().issue_token(&authy_tests::operator(), root.id).await.unwrap();
    let mut visitor = Visitor::new(&app);
    visitor.cookies.insert("authy-access".to_owned(), token.expose().to_owned());
    assert_eq!(visitor.get("/authy/ui/admin/users").await.status, 200, "the token is good");
    for answer in [visitor.get(&of(subject.id, "/delete")).await, visitor.post(&of(subject.id, "/delete"), "").await] {
        assert!(answer.header("location").starts_with("/authy/ui/again"), "{answer:?}");
    }
    let answer = visitor.get("/authy/ui/account/delete").await;
    assert!(answer.header("location").starts_with("/authy/ui/again"), "{answer:?}");
}
