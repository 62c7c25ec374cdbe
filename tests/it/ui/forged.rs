//! Requests that another site makes a browser send.

use super::*;

/// What a browser says about where a request comes from, and whether it may change something.
const SENDERS: [(&str, bool); 11] = [
    ("sec-fetch-site: same-origin", true),
    ("sec-fetch-site: same-origin\norigin: null", true),
    ("sec-fetch-site: cross-site", false),
    ("sec-fetch-site: same-site", false),
    ("sec-fetch-site: none", false),
    ("sec-fetch-site: cross-site\norigin: http://auth.example", false),
    ("origin: http://auth.example", true),
    ("origin: http://evil.example", false),
    ("origin: https://auth.example", false),
    ("origin: null", false),
    ("accept: text/html", false),
];

#[tokio::test]
async fn no_form_of_another_site_is_accepted() {
    let app = app().await;
    let user = app.superadmin().await;
    let visitor = Visitor::logged_in(&app, &user.username).await;
    let mut tried = 0;
    for (route, ..) in MATRIX.iter().filter(|(_, methods, _)| methods.contains("POST")) {
        // These end the session, which the other pages need: each sender has one of its own.
        let ends_session = ["/authy/ui/logout", "/authy/ui/account/delete"].contains(route);
        for (sender, is_accepted) in SENDERS {
            let own = match ends_session {
                true => Some(Visitor::logged_in(&app, &app.user().await.username).await),
                false => None,
            };
            let cookies = cookies_of(own.as_ref().unwrap_or(&visitor));
            let head = format!("POST {} HTTP/1.1\n{sender}\ncookie: {cookies}", path(route));
            let answer = send(app.address, &head, "").await;
            let is_refused = answer.status == 403 && answer.body.contains("did not come from a page of this site");
            assert_eq!(is_refused, !is_accepted, "{route} {sender}: {answer:?}");
            let account = format!("GET /authy/ui/account HTTP/1.1\ncookie: {cookies}");
            let is_ended = send(app.address, &account, "").await.status == 303;
            assert_eq!(is_ended, ends_session && is_accepted, "{route} {sender}");
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

/// The cookies of a browser, as a header has them.
fn cookies_of(visitor: &Visitor) -> String {
    let cookies: Vec<_> = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    cookies.join("; ")
}

#[tokio::test]
async fn another_site_cannot_use_up_the_logins_of_its_visitors() {
    let app = TestApp::with(|_, http| {
        with_pages(http);
        http.limits.login = "2/day".parse().unwrap();
    })
    .await;
    for _ in 0..5 {
        let head = "POST /authy/ui/login HTTP/1.1\nsec-fetch-site: cross-site";
        assert_eq!(send(app.address, head, "").await.status, 403);
    }
    let user = app.user().await;
    Visitor::logged_in(&app, &user.username).await;
}

#[tokio::test]
async fn nobody_is_logged_in_to_an_account_by_a_form_that_was_not_opened_here() {
    let app = app().await;
    let user = app.user().await;
    // A browser that says nothing about the sender does not send the cookie of the form from elsewhere.
    let mut visitor = Visitor::new(&app);
    let answer = visitor.log_in(&user.username, PASSWORD).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.body.contains("Allow cookies for this site"), "{answer:?}");
    assert_eq!((visitor.cookie("authy"), visitor.cookie("authy-access")), ("", ""));
    // The answer has set it: the same form again works.
    assert_eq!(visitor.log_in(&user.username, PASSWORD).await.status, 303);
    let mut visitor = Visitor::new(&app);
    assert_eq!(visitor.post("/authy/ui/signup", "username=ada").await.status, 403);
}

#[tokio::test]
async fn a_login_leads_back_to_pages_of_ours_alone() {
    let app = app().await;
    let user = app.user().await;
    for (wanted, next) in [
        ("/authy/ui/account/email", "/authy/ui/account/email"),
        ("https://evil.example/", "/authy/ui/account"),
        ("//evil.example/authy/ui/account", "/authy/ui/account"),
        ("/authy/ui/../../evil", "/authy/ui/account"),
        ("/authy/ui/logout", "/authy/ui/account"),
        ("/authy/user", "/authy/ui/account"),
    ] {
        let mut visitor = Visitor::new(&app);
        let page = visitor.get(&format!("/authy/ui/login?return={wanted}")).await;
        assert!(!page.body.contains("evil"), "{page:?}");
        let form = format!("username={}&password={PASSWORD}&return={wanted}", user.username);
        let answer = visitor.post("/authy/ui/login", &form).await;
        assert_eq!((answer.status, answer.header("location")), (303, next), "{wanted}");
        let answer = visitor.get(&format!("/authy/ui/login?return={wanted}")).await;
        assert_eq!((answer.status, answer.header("location")), (303, next), "{wanted}");
    }
}
