//! Limits count requests of pages and of the API together.

use super::*;

#[tokio::test]
async fn logins_by_page_and_by_api_have_one_limit() {
    let app = TestApp::with(|_, http| {
        with_pages(http);
        http.limits.login = "2/day".parse().unwrap();
    })
    .await;
    let mut visitor = Visitor::new(&app);
    visitor.get("/authy/ui/login").await;
    assert_eq!(visitor.log_in("nobody", "wrong").await.status, 401);
    assert_eq!(post(app.address, "/authy/login", r#"{"username":"nobody","password":"wrong"}"#).await.status, 401);
    let refused = visitor.log_in("nobody", "wrong").await;
    assert_eq!((refused.status, refused.header("content-type")), (429, "text/html; charset=utf-8"), "{refused:?}");
    assert!(!refused.header("retry-after").is_empty() && refused.body.contains("Too many attempts"), "{refused:?}");
    assert_eq!(post(app.address, "/authy/login", "{}").await.status, 429);
    // A page is still shown.
    assert_eq!(visitor.get("/authy/ui/login").await.status, 200);
}

#[tokio::test]
async fn guesses_by_page_and_by_api_are_counted_together() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::new(&app);
    visitor.get("/authy/ui/login").await;
    for _ in 0..5 {
        assert_eq!(visitor.log_in(&user.username, "wrong-by-page").await.status, 401);
        let wrong = format!(r#"{{"username":"{}","password":"wrong-by-api"}}"#, user.username);
        assert_eq!(post(app.address, "/authy/login", &wrong).await.status, 401);
    }
    // Slowed down: the right password is refused in the same words.
    let refused = visitor.log_in(&user.username, PASSWORD).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(refused.body.contains("The username or the password is wrong."), "{refused:?}");
    assert!(app.anonymous().login(credentials(&user.username)).await.is_err());
}

#[tokio::test]
async fn a_browser_that_has_logged_in_before_is_not_slowed_by_guesses_of_others() {
    let app = app().await;
    let user = app.user().await;
    let mut known = Visitor::logged_in(&app, &user.username).await;
    assert_eq!(known.post("/authy/ui/logout", "").await.status, 303);
    assert!(!known.cookie("authy-device").is_empty() && known.cookie("authy").is_empty());
    for _ in 0..10 {
        let wrong = format!(r#"{{"username":"{}","password":"wrong"}}"#, user.username);
        post(app.address, "/authy/login", &wrong).await;
    }
    assert!(app.anonymous().login(credentials(&user.username)).await.is_err());
    known.get("/authy/ui/login").await;
    assert_eq!(known.log_in(&user.username, PASSWORD).await.status, 303);
}
