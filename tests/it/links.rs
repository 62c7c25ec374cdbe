//! The links in mails: opening one changes nothing, the button on its page does.

use authy_core::{
    Secret,
    api::account::{AccountChange, ForgottenPassword},
};
use authy_tests::{
    PASSWORD, TestApp, credentials, fresh_name, new_user,
    smtp::{Mail, MailServer, PUBLIC_URL},
    wire::{Answer, get, send},
};

/// What a browser says that it accepts.
const HTML: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Every row of every table.
pub(crate) async fn everything(app: &TestApp) -> Vec<String> {
    let sql = app.sql().await;
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = 'authy'::regnamespace AND relkind = 'r'
                  AND relname NOT IN ('event_cursor', 'delivery') ORDER BY relname";
    let mut rows = Vec::new();
    for table in sql.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let query = format!("SELECT t::text FROM authy.{table} AS t ORDER BY 1");
        let found = sql.query(&query, &[]).await.unwrap();
        rows.extend(found.iter().map(|row| format!("{table}: {}", row.get::<_, String>(0))));
    }
    rows
}

/// The links in a mail that lead to this server, as paths.
fn links(mail: &Mail) -> Vec<String> {
    mail.text.lines().filter_map(|line| line.strip_prefix(PUBLIC_URL)).map(str::to_owned).collect()
}

/// What programs do to a link before a user sees it.
async fn scan(app: &TestApp, path: &str) {
    let requests = [
        format!("HEAD {path} HTTP/1.1"),
        format!("GET {path} HTTP/1.1"),
        format!("GET {path} HTTP/1.1\n{HTML}"),
        format!("GET {path} HTTP/1.1\n{HTML}\nsec-purpose: prefetch;prerender\nsec-fetch-mode: navigate"),
        format!("GET {path} HTTP/1.1\n{HTML}\npurpose: prefetch\nuser-agent: BingPreview/1.0b"),
        format!("HEAD {path} HTTP/1.1\n{HTML}"),
        format!("OPTIONS {path} HTTP/1.1"),
    ];
    for request in requests {
        let answer = send(app.address, &request, "").await;
        assert!([200, 204].contains(&answer.status), "{request}: {answer:?}");
    }
}

/// A click on the button of the page behind a link.
async fn click(app: &TestApp, path: &str) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\n{HTML}\ncontent-type: application/x-www-form-urlencoded\norigin: null\n\
         sec-fetch-site: same-origin\nsec-fetch-mode: navigate"
    );
    send(app.address, &head, "").await
}

#[tokio::test]
async fn programs_that_open_every_link_of_every_mail_change_nothing_and_the_users_click_works() {
    let mailbox = MailServer::start().await;
    let app = TestApp::with_sinks(|authy| vec![mailbox.sink(authy)]).await;
    let name = fresh_name("ada");
    let (first, second) = (format!("{name}@example.org"), format!("{name}@example.net"));
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let sign_up = mailbox.next_to(&first).await;
    let ada = app.anonymous().login(credentials(&name)).await.unwrap().token;
    let ada = app.anonymous().with_token(ada);
    let change = AccountChange::email(Some(Secret::new(PASSWORD)), second.parse().unwrap());
    ada.change_user(id, change).await.unwrap();
    let (new_address, notice) = (mailbox.next_to(&second).await, mailbox.next_to(&first).await);
    app.anonymous().forgot_password(ForgottenPassword { email: first.parse().unwrap() }).await.unwrap();
    let reset = mailbox.next_to(&first).await;
    assert_eq!((links(&sign_up).len(), links(&new_address).len()), (1, 1));
    // The page for a new password is not authy's; the code in it is spent by a POST only.
    let reset_path = format!("/authy/password/reset?code={}", reset.code().expose());
    assert_eq!(links(&notice), Vec::<String>::new());

    let before = everything(&app).await;
    for path in [&links(&sign_up)[0], &links(&new_address)[0]] {
        scan(&app, path).await;
    }
    assert_eq!(get(app.address, &reset_path).await.status, 405);
    assert_eq!(get(app.address, &format!("/authy/validate/{}", reset.code().expose())).await.status, 404);
    // A wrong code counts as a guess, which is all that it writes.
    let unchanged =
        |rows: Vec<String>| rows.into_iter().filter(|row| !row.starts_with("throttle:")).collect::<Vec<_>>();
    assert_eq!(unchanged(everything(&app).await), unchanged(before));

    let done = click(&app, &links(&sign_up)[0]).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(app.admin().await.client.get_user(id).await.unwrap().validated);
    assert_eq!(click(&app, &links(&new_address)[0]).await.status, 200);
    let view = app.admin().await.client.get_user(id).await.unwrap();
    assert_eq!(view.email.as_str(), second);
}
