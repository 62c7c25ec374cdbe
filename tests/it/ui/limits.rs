//! Limits count requests of pages and of the API together.

use authy_core::{ClientInfo, ErrorKind, Secret, api::account::AccountChange, engine::Caller};

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

#[tokio::test]
async fn guesses_at_the_page_that_asks_again_are_counted_with_logins_by_the_api() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    // What is known of a device has a count of its own.
    visitor.cookies.remove("authy-device");
    let wrong = format!(r#"{{"username":"{}","password":"wrong-by-api"}}"#, user.username);
    for number in 0..5 {
        if number % 2 == 0 {
            let refused = visitor.post("/authy/ui/again", "password=wrong-by-page").await;
            assert!(refused.status == 401 && refused.body.contains("This is not your password."), "{refused:?}");
        } else {
            assert_eq!(post(app.address, "/authy/login", &wrong).await.status, 401);
        }
    }
    // Three and two: slowed down, so that the right password is refused in the same words.
    let refused = visitor.post("/authy/ui/again", &format!("password={PASSWORD}")).await;
    assert!(refused.status == 401 && refused.body.contains("This is not your password."), "{refused:?}");
    assert!(app.anonymous().login(credentials(&user.username)).await.is_err());
}

#[tokio::test]
async fn guesses_of_the_current_password_by_both_pages_and_by_the_api_are_counted_together() {
    const NEW_PASSWORD: &str = "password=analytical-engine-no-1&confirm_password=analytical-engine-no-1";
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    let change = |password: &str| {
        let email = format!("{}@example.net", user.username).parse().unwrap();
        user.client.change_user(user.id, AccountChange::email(Some(Secret::new(password)), email))
    };
    let forms = [
        ("/authy/ui/account/email", format!("email={}@example.net", user.username)),
        ("/authy/ui/account/password", NEW_PASSWORD.to_owned()),
    ];
    for number in 0..5 {
        match forms.get(number % 3) {
            Some((page, form)) => {
                let refused = visitor.post(page, &format!("{form}&current_password=wrong")).await;
                assert!(refused.status == 401 && refused.body.contains("This is not your password."), "{refused:?}");
            }
            None => assert_eq!(change("wrong").await.unwrap_err().kind(), Some(ErrorKind::InvalidCredentials)),
        }
    }
    // Two, two and one.
    for (page, form) in &forms {
        let refused = visitor.post(page, &format!("{form}&current_password={PASSWORD}")).await;
        assert!(refused.status == 429 && refused.body.contains("Too many attempts"), "{page}: {refused:?}");
    }
    assert_eq!(change(PASSWORD).await.unwrap_err().kind(), Some(ErrorKind::RateLimited));
}

#[tokio::test]
async fn sign_ups_that_ask_for_addresses_are_limited_by_page_and_by_api_together() {
    let app = TestApp::with(|_, http| {
        with_pages(http);
        http.limits.register = "3/hour".parse().unwrap();
    })
    .await;
    // Its address is confirmed.
    let user = app.user().await;
    let form = |address: &str| {
        let name = fresh_name("eve");
        format!("username={name}&email={address}&password={PASSWORD}&confirm_password={PASSWORD}")
    };
    let json = |address: &str| {
        let name = fresh_name("eve");
        let fields =
            [("username", name.as_str()), ("email", address), ("password", PASSWORD), ("confirm_password", PASSWORD)];
        serde_json::json!(BTreeMap::from(fields)).to_string()
    };
    let mut visitor = Visitor::new(&app);
    visitor.get("/authy/ui/signup").await;
    let taken = format!("{}@example.org", user.username);
    let refused = visitor.post("/authy/ui/signup", &form(&taken)).await;
    assert!(refused.status == 409 && refused.body.contains("address is taken"), "{refused:?}");
    let refused = post(app.address, "/authy/user", &json(&taken)).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "already_registered"));
    // An address that nobody has confirmed is not told.
    let unconfirmed = fresh_name("nia");
    app.authy.users().register(&Caller::anonymous(ClientInfo::default()), new_user(&unconfirmed)).await.unwrap();
    let free = format!("{unconfirmed}@example.org");
    assert_eq!(post(app.address, "/authy/user", &json(&free)).await.status, 201);
    assert_eq!(visitor.post("/authy/ui/signup", &form(&taken)).await.status, 429);
    assert_eq!(post(app.address, "/authy/user", &json(&taken)).await.status, 429);
}
