//! The pages for people, over HTTP: who may open them, what another site cannot send, and the session of a browser.

use std::collections::BTreeMap;

use authy_core::{
    Access,
    api::{self, Method, event::EventKind},
    engine::MasterKeys,
};
use authy_server::{HttpConfig, Pages};
use authy_tests::{
    PASSWORD, TestApp, credentials, database, fresh_name, new_user, until,
    wire::{Answer, get, post, send},
};

mod admin;
pub(crate) mod browser;
mod first_hour;
mod forged;
mod limits;
mod mailed;
mod session;
mod system;

/// Who may open a page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Visitors {
    Everybody,
    /// Anybody who is logged in.
    User,
    Administrator,
    /// Who may do everything.
    FullPower,
}

use Visitors::{Administrator, Everybody, FullPower, User};

/// Who may open a page, and its methods, written down a second time.
const MATRIX: &[(&str, &str, Visitors)] = &[
    ("/", "GET", Everybody),
    ("/authy/ui", "GET", Everybody),
    ("/authy/ui/assets/{hash}/{name}", "GET", Everybody),
    ("/authy/ui/language", "POST", Everybody),
    ("/authy/docs", "GET", Everybody),
    ("/authy/docs/events", "GET", Everybody),
    ("/authy/ui/login", "GET POST", Everybody),
    ("/authy/ui/logout", "POST", Everybody),
    ("/authy/ui/signup", "GET POST", Everybody),
    ("/authy/ui/confirm/{code}", "GET POST", Everybody),
    ("/authy/ui/forgot", "GET POST", Everybody),
    ("/authy/ui/reset/{code}", "GET POST", Everybody),
    ("/authy/ui/again", "GET POST", User),
    ("/authy/ui/account", "GET", User),
    ("/authy/ui/account/confirm", "POST", User),
    ("/authy/ui/account/email", "GET POST", User),
    ("/authy/ui/account/password", "GET POST", User),
    ("/authy/ui/account/sessions", "GET POST", User),
    ("/authy/ui/account/export", "GET", User),
    ("/authy/ui/account/delete", "GET POST", User),
    ("/authy/ui/admin", "GET", Administrator),
    ("/authy/ui/admin/users", "GET", Administrator),
    ("/authy/ui/admin/create-user", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}", "GET", Administrator),
    ("/authy/ui/admin/users/{public_id}/grant", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/revoke", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/sessions/{session_id}", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/reset", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/unlock", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/end-sessions", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/delete", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/restore", "GET POST", Administrator),
    ("/authy/ui/admin/users/{public_id}/erase", "GET POST", Administrator),
    ("/authy/ui/admin/roles", "GET", Administrator),
    ("/authy/ui/admin/create-role", "GET POST", Administrator),
    ("/authy/ui/admin/roles/{role_name}", "GET", Administrator),
    ("/authy/ui/admin/roles/{role_name}/delete", "GET POST", Administrator),
    ("/authy/ui/admin/events", "GET", Administrator),
    ("/authy/ui/admin/events/export", "GET", Administrator),
    ("/authy/ui/admin/keys", "GET", Administrator),
    ("/authy/ui/admin/keys/rotate", "GET POST", FullPower),
    ("/authy/ui/admin/keys/{kid}/revoke", "GET POST", FullPower),
    ("/authy/ui/admin/sinks", "GET", Administrator),
    ("/authy/ui/admin/sinks/{sink}/{event_id}/retry", "GET POST", FullPower),
    ("/authy/ui/admin/sinks/{sink}/{event_id}/skip", "GET POST", FullPower),
    ("/authy/ui/admin/sinks/{sink}/{event_id}/dismiss", "GET POST", FullPower),
    ("/authy/ui/admin/sinks/{sink}/dismiss", "GET POST", FullPower),
];

/// The URL that the pages are told to have. `Origin` is compared with it.
const PUBLIC_URL: &str = "http://auth.example";

fn with_pages(http: &mut HttpConfig) {
    http.pages = Some(Pages::new(PUBLIC_URL).unwrap());
}

async fn app() -> TestApp {
    TestApp::with(|_, http| with_pages(http)).await
}

/// A browser without a screen: its cookies, and what it sends along with every request.
struct Visitor {
    cookies: BTreeMap<String, String>,
    address: std::net::SocketAddr,
}

impl Visitor {
    fn new(app: &TestApp) -> Self {
        Self { cookies: BTreeMap::new(), address: app.address }
    }

    /// One that has opened the login page, and then logs in.
    async fn logged_in(app: &TestApp, name: &str) -> Self {
        let mut visitor = Self::new(app);
        visitor.get("/authy/ui/login").await;
        let answer = visitor.log_in(name, PASSWORD).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/authy/ui/account"), "{answer:?}");
        visitor
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        self.post("/authy/ui/login", &format!("username={name}&password={password}")).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\nsec-fetch-site: none"), "").await
    }

    async fn post(&mut self, path: &str, form: &str) -> Answer {
        let head = "sec-fetch-site: same-origin\ncontent-type: application/x-www-form-urlencoded";
        self.send(&format!("POST {path} HTTP/1.1\n{head}"), form).await
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    async fn send(&mut self, head: &str, body: &str) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie = if cookies.is_empty() { String::new() } else { format!("\ncookie: {}", cookies.join("; ")) };
        let answer = send(self.address, &format!("{head}{cookie}"), body).await;
        for (_, line) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            match line.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }

    fn cookie(&self, name: &str) -> &str {
        self.cookies.get(name).map_or("", String::as_str)
    }
}

fn path(template: &str) -> String {
    let path = template.replace("{code}", "nonsense").replace("{hash}", "0").replace("{name}", "app.css");
    let nobody = "00000000-0000-4000-8000-000000000000";
    let path = path.replace("{kid}", "nonsense").replace("{sink}", "nonsense").replace("{event_id}", nobody);
    path.replace("{public_id}", nobody).replace("{session_id}", nobody).replace("{role_name}", "nonsense")
}

#[tokio::test]
async fn every_page_is_in_the_matrix_and_is_for_those_it_says() {
    let app = app().await;
    // What the server counts tells which pages there are.
    let metrics = get(app.address, "/metrics").await.body;
    let mut found = BTreeMap::<&str, Vec<&str>>::new();
    for line in
        metrics.lines().filter(|line| line.starts_with("authy_http_requests_total{route=\"/") && line.contains("2xx"))
    {
        let mut parts = line.split('"').skip(1).step_by(2);
        let (route, method) = (parts.next().unwrap(), parts.next().unwrap());
        if route == "/" || route.starts_with("/authy/docs") || route.starts_with("/authy/ui") {
            found.entry(route).or_default().push(method);
        }
    }
    let found: BTreeMap<_, _> = found.into_iter().map(|(route, methods)| (route, methods.join(" "))).collect();
    let expected: BTreeMap<_, _> = MATRIX.iter().map(|(route, methods, _)| (*route, (*methods).to_owned())).collect();
    assert_eq!(found, expected);

    for (route, methods, visitors) in MATRIX {
        let needs_login = *visitors != Everybody;
        for method in methods.split(' ') {
            let head = format!("{method} {} HTTP/1.1\nsec-fetch-site: same-origin", path(route));
            let answer = send(app.address, &head, "").await;
            let login = answer.header("location").starts_with("/authy/ui/login");
            let leads_to_login = ["/", "/authy/ui", "/authy/ui/logout"].contains(route);
            assert_eq!(answer.status == 303 && login, needs_login || leads_to_login, "{method} {route}: {answer:?}");
            // Neither a token of the API nor a wrong cookie opens a page.
            let token = app.user().await.token;
            let token = token.expose();
            for other in [format!("authorization: Bearer {token}"), format!("cookie: authy={token}; authy-access=x")] {
                let answer = send(app.address, &format!("{head}\n{other}"), "").await;
                let login = answer.header("location").starts_with("/authy/ui/login");
                assert_eq!(
                    answer.status == 303 && login,
                    needs_login || leads_to_login,
                    "{method} {route}: {answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_api_reads_no_cookie() {
    let app = app().await;
    let user = app.superadmin().await;
    let visitor = Visitor::logged_in(&app, &user.username).await;
    let cookies: Vec<_> = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert!(cookies.len() > 2, "{cookies:?}");
    let mut tried = 0;
    for info in api::all().filter(|info| info.access != Access::Public) {
        let path = info.path.replace("{level}", "10").replace("{public_id}", &user.id.to_string());
        let path = path.replace("{role_name}", "user").replace("{session_id}", &user.id.to_string());
        let head = format!("{} {path} HTTP/1.1\ncookie: {}\naccept: text/html", info.method, cookies.join("; "));
        let body = if info.method == Method::POST { "{}" } else { "" };
        let answer = send(app.address, &format!("{head}\ncontent-type: application/json"), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_required"), "{}", info.name);
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}

#[tokio::test]
async fn every_page_has_the_headers_that_protect_it() {
    let app = app().await;
    let user = app.superadmin().await;
    let mut visitor = Visitor::logged_in(&app, &user.username).await;
    for (route, methods, _) in
        MATRIX.iter().filter(|(route, ..)| !route.contains("assets") && !route.contains("export"))
    {
        for (method, page) in methods.split(' ').map(|method| (method, path(route))) {
            let answer = match method {
                "GET" => visitor.get(&page).await,
                // From another site, so that nothing is changed.
                _ => visitor.send(&format!("POST {page} HTTP/1.1\nsec-fetch-site: cross-site"), "").await,
            };
            let policy = answer.header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self';",
                "style-src 'self';",
                "form-action 'self';",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(policy.contains(part), "{part}: {answer:?}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(policy.contains("require-trusted-types-for 'script'"), page != "/authy/docs", "{policy}");
            for (name, value) in [
                ("cache-control", "no-store"),
                ("referrer-policy", "same-origin"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(answer.header(name), value, "{method} {page}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn methods_and_unknown_paths_are_answered_as_in_the_api() {
    let app = app().await;
    let allowed = send(app.address, "OPTIONS /authy/ui/login HTTP/1.1", "").await;
    assert_eq!((allowed.status, allowed.header("allow")), (204, "OPTIONS, HEAD, GET, POST"));
    let wrong = send(app.address, "PUT /authy/ui/login HTTP/1.1\nsec-fetch-site: same-origin", "").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "OPTIONS, HEAD, GET, POST"), "{wrong:?}");
    let head = send(app.address, "HEAD /authy/ui/login HTTP/1.1", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let unknown = get(app.address, "/authy/ui/nothing").await;
    assert_eq!((unknown.status, unknown.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(unknown.body.contains("There is nothing here"), "{unknown:?}");
    let api = get(app.address, "/authy/nothing").await;
    assert_eq!((api.status, api.code().as_str()), (404, "not_found"));
    let json = send(
        app.address,
        "POST /authy/ui/login HTTP/1.1\nsec-fetch-site: same-origin\ncontent-type: application/json",
        "{}",
    )
    .await;
    assert_eq!(json.status, 415, "{json:?}");
    let large = "x".repeat(70_000);
    let large = send(
        app.address,
        "POST /authy/ui/login HTTP/1.1\nsec-fetch-site: same-origin\ncontent-type: application/x-www-form-urlencoded",
        &large,
    )
    .await;
    assert_eq!(large.status, 413, "{large:?}");
    // Without the setting there is none.
    let without = TestApp::new().await;
    for path in ["/", "/authy/ui", "/authy/ui/login"] {
        assert_eq!(get(without.address, path).await.code(), "not_found", "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_by_browsers_and_a_changed_one_has_another_address() {
    let app = app().await;
    let page = get(app.address, "/authy/ui/login").await.body;
    let stylesheet = page.split('"').find(|part| part.ends_with("/app.css")).unwrap();
    let answer = get(app.address, stylesheet).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(answer.body.contains("--accent:#3355cc"), "{answer:?}");
    assert_eq!(answer.header("set-cookie"), "");
    let of_another_version = get(app.address, "/authy/ui/assets/000000000000/app.css").await;
    assert_eq!((of_another_version.status, of_another_version.header("cache-control")), (200, "no-cache"));
    assert_eq!(get(app.address, "/authy/ui/assets/0/app.js").await.status, 404);
}

#[tokio::test]
async fn a_forgotten_password_does_not_tell_who_has_an_account() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::new(&app);
    let mut answers = Vec::new();
    for address in [format!("{}@example.org", user.username), "nobody-at-all@example.org".to_owned()] {
        let answer = visitor.post("/authy/ui/forgot", &format!("email={address}")).await;
        let next = answer.header("location").to_owned();
        answers.push((answer.status, next.clone(), visitor.get(&next).await.body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!((answers[0].0, answers[0].1.as_str()), (303, "/authy/ui/forgot?sent"));
}

#[tokio::test]
async fn the_language_is_that_of_the_browser_or_the_chosen_one() {
    let app = app().await;
    let german = send(app.address, "GET /authy/ui/login HTTP/1.1\naccept-language: de-DE,de;q=0.9,en;q=0.8", "").await;
    assert!(german.body.contains("<html lang=\"de\">") && german.body.contains("Noch kein Konto?"), "{german:?}");
    let mut visitor = Visitor::new(&app);
    assert!(visitor.get("/authy/ui/login").await.body.contains("<html lang=\"en\">"));
    let chosen = visitor.post("/authy/ui/language", "language=de&return=/authy/ui/login").await;
    assert_eq!((chosen.status, chosen.header("location")), (303, "/authy/ui/login"));
    assert!(visitor.get("/authy/ui/login").await.body.contains("<html lang=\"de\">"));
    let away = visitor.post("/authy/ui/language", "language=en&return=//evil.example/").await;
    assert_eq!(away.header("location"), "/authy/ui/account");
}

#[tokio::test]
async fn another_language_is_chosen_without_leaving_the_page_also_without_a_login() {
    let app = app().await;
    for page in ["/authy/docs/events", "/authy/ui/nothing?a=b", "/authy/ui/reset/nonsense", "/authy/docs/nothing"] {
        let mut visitor = Visitor::new(&app);
        let shown = visitor.get(page).await.body;
        let here = shown.split("name=\"return\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let here = here.replace("&#x2f;", "/").replace("&#x3d;", "=");
        assert_eq!(here, page);
        let chosen = visitor.post("/authy/ui/language", &format!("language=de&return={here}")).await;
        assert_eq!((chosen.status, chosen.header("location")), (303, page));
        assert!(visitor.get(page).await.body.contains("<html lang=\"de\">"), "{page}");
    }
    // The answer to a form that was refused names no page.
    let mut visitor = Visitor::new(&app);
    for page in ["/authy/ui/login", "/authy/ui/logout"] {
        let refused = visitor.send(&format!("POST {page} HTTP/1.1\nsec-fetch-site: cross-site"), "").await;
        assert!(refused.body.contains("name=\"return\" value=\"\""), "{refused:?}");
    }
    let away = visitor.get("/authy/ui/nothing?return=//evil.example").await;
    assert!(!away.body.contains("evil"), "{away:?}");
}
