//! The pages that mails link to: whose they are, what they say when a link does not work, and what opening one changes.

use authy_core::{
    Secret, UserId,
    api::{
        account::{AccountChange, ForgottenPassword},
        user::NewAccount,
    },
};
use authy_tests::trace::Captured;

use super::*;
use crate::links::everything;

const NEW_PASSWORD: &str = "analytical-engine-no-1";

/// What programs say about why they open a link.
const PURPOSES: [&str; 5] = [
    "",
    "\nsec-purpose: prefetch",
    "\nsec-purpose: prefetch;prerender\nsec-fetch-mode: navigate",
    "\npurpose: prefetch\nuser-agent: BingPreview/1.0b",
    "\nsec-fetch-site: cross-site",
];

async fn forgot(app: &TestApp, user: UserId) -> Secret {
    let email = app.authy.users().find(user).await.unwrap().unwrap().email;
    app.anonymous().forgot_password(ForgottenPassword { email }).await.unwrap();
    app.code(user, EventKind::ResetRequested).await
}

async fn invite(app: &TestApp, name: &str) -> (UserId, Secret) {
    let account = NewAccount::new(name, &format!("{name}@example.org")).unwrap();
    let id = app.admin().await.client.create_user(account).await.unwrap().public_id;
    (id, app.code(id, EventKind::ResetRequested).await)
}

/// The path of the page where a code sets a password.
fn reset(code: &Secret) -> String {
    format!("/authy/ui/reset/{}", code.expose())
}

fn passwords(password: &str) -> String {
    format!("password={password}&confirm_password={password}")
}

/// The field by which password managers know whose password it is.
fn name_field(name: &str) -> String {
    format!("name=\"username\" value=\"{name}\" autocomplete=\"username\"")
}

/// Checks that a page says that a link sets no password, and where there is another one.
fn is_dead(answer: &Answer) {
    assert_eq!(answer.status, 404, "{answer:?}");
    for part in ["This link does not work", "href=\"/authy/ui/forgot\"", "the person who invited you"] {
        assert!(answer.body.contains(part), "{part}: {answer:?}");
    }
    assert!(!answer.body.contains("name=\"password\"") && !answer.body.contains("In your account"), "{answer:?}");
}

#[tokio::test]
async fn the_page_of_a_reset_names_the_account_as_long_as_the_link_works() {
    let app = app().await;
    let user = app.user().await;
    let code = forgot(&app, user.id).await;
    let mut visitor = Visitor::new(&app);
    let page = visitor.get(&reset(&code)).await;
    assert!(page.status == 200 && page.body.contains(&name_field(&user.username)), "{page:?}");
    assert!(page.body.contains("All devices are logged out"), "{page:?}");
    for (form, status, said) in [
        (passwords("password"), 400, "name=\"password\""),
        (format!("password={NEW_PASSWORD}&confirm_password=x"), 400, "The two passwords are not the same."),
        (passwords("short"), 400, "Use 8 to 256 characters."),
    ] {
        let refused = visitor.post(&reset(&code), &form).await;
        assert!(refused.status == status && refused.body.contains(said), "{refused:?}");
        assert!(refused.body.contains(&name_field(&user.username)), "{refused:?}");
    }
    let done = visitor.post(&reset(&code), &passwords(NEW_PASSWORD)).await;
    assert_eq!((done.status, done.header("location")), (303, "/authy/ui/login?notice=password_set"));
    // It was used.
    is_dead(&visitor.get(&reset(&code)).await);
    is_dead(&visitor.post(&reset(&code), &passwords(NEW_PASSWORD)).await);
}

#[tokio::test]
async fn a_reset_ends_the_session_that_the_browser_had_also_that_of_another_account() {
    let (log, app) = (Captured::begin(), app().await);
    let (ada, eve) = (app.user().await, app.user().await);
    for owner in [&ada, &eve] {
        let mut visitor = Visitor::logged_in(&app, &owner.username).await;
        let mut copy = Visitor { cookies: visitor.cookies.clone(), address: app.address };
        let code = forgot(&app, ada.id).await;
        let done = visitor.post(&reset(&code), &passwords(NEW_PASSWORD)).await;
        assert_eq!((done.status, done.header("location")), (303, "/authy/ui/login?notice=password_set"));
        assert_eq!((visitor.cookie("authy"), visitor.cookie("authy-access")), ("", ""));
        assert_eq!(copy.get("/authy/ui/account").await.status, 303, "its cookies are worth nothing");
    }
    assert_eq!(log.lines(&["could not be ended"]), Vec::<String>::new(), "that of the account has ended already");
}

#[tokio::test]
async fn a_link_that_sets_no_password_leads_to_another_one() {
    let app = app().await;
    let user = app.user().await;
    let mut visitor = Visitor::new(&app);
    let expired = forgot(&app, user.id).await;
    let sql = app.sql().await;
    sql.execute("UPDATE authy.code SET expires = now() - interval '1 second'", &[]).await.unwrap();
    let name = fresh_name("ada");
    let signed_up = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let of_another_kind = app.code(signed_up, EventKind::UserRegistered).await;
    for path in [reset(&expired), reset(&of_another_kind), "/authy/ui/reset/nonsense".to_owned()] {
        is_dead(&visitor.get(&path).await);
        // Whatever is wrong with the form: it does not matter any more.
        for form in [passwords(NEW_PASSWORD), passwords("x"), String::new()] {
            is_dead(&visitor.post(&path, &form).await);
        }
    }
    let of_a_deleted_user = forgot(&app, user.id).await;
    app.authy.users().delete(&authy_tests::operator(), user.id).await.unwrap();
    is_dead(&visitor.get(&reset(&of_a_deleted_user)).await);
    // A link that confirms an address leads to the account, which has a button for another one.
    let confirmation = visitor.get("/authy/ui/confirm/nonsense").await;
    assert!(confirmation.status == 404 && confirmation.body.contains("href=\"/authy/ui/account\""), "{confirmation:?}");
}

#[tokio::test]
async fn an_invited_user_chooses_the_first_password_and_is_told_so() {
    let app = app().await;
    let name = fresh_name("eve");
    let (id, code) = invite(&app, &name).await;
    let mut visitor = Visitor::new(&app);
    let page = visitor.get(&reset(&code)).await;
    assert!(page.body.contains("You were invited") && page.body.contains(&name_field(&name)), "{page:?}");
    assert!(!page.body.contains("All devices are logged out"), "{page:?}");
    // After it has expired, the page of a forgotten password invites again.
    app.sql().await.execute("UPDATE authy.code SET expires = now() - interval '1 second'", &[]).await.unwrap();
    is_dead(&visitor.get(&reset(&code)).await);
    let code = forgot(&app, id).await;
    assert!(visitor.get(&reset(&code)).await.body.contains("You were invited"));
    assert_eq!(visitor.post(&reset(&code), &passwords(NEW_PASSWORD)).await.status, 303);
    visitor.get("/authy/ui/login").await;
    assert_eq!(visitor.log_in(&name, NEW_PASSWORD).await.status, 303);
}

#[tokio::test]
async fn a_scanner_that_opens_the_links_of_mails_changes_nothing() {
    let app = app().await;
    let name = fresh_name("ada");
    let id = app.anonymous().register(new_user(&name)).await.unwrap().public_id;
    let confirmation = app.code(id, EventKind::UserRegistered).await;
    let ada = app.anonymous().login(credentials(&name)).await.unwrap().token;
    let change = AccountChange::email(Some(Secret::new(PASSWORD)), format!("{name}@example.net").parse().unwrap());
    app.anonymous().with_token(ada).change_user(id, change).await.unwrap();
    let new_address = app.code(id, EventKind::EmailRequested).await;
    let forgotten = forgot(&app, app.user().await.id).await;
    let (_, invitation) = invite(&app, &fresh_name("eve")).await;
    let confirm = |code: &Secret| format!("/authy/ui/confirm/{}", code.expose());
    let links = [confirm(&confirmation), confirm(&new_address), reset(&forgotten), reset(&invitation)];

    let before = everything(&app).await;
    for link in &links {
        for method in ["HEAD", "GET", "OPTIONS"] {
            for purpose in PURPOSES {
                let answer = send(app.address, &format!("{method} {link} HTTP/1.1{purpose}"), "").await;
                assert!([200, 204].contains(&answer.status), "{answer:?}");
            }
        }
    }
    assert_eq!(everything(&app).await, before);

    // After all of that, the user's click works.
    let mut visitor = Visitor::new(&app);
    for link in &links[..2] {
        let done = visitor.post(link, "").await;
        assert!(done.body.contains("Your address is confirmed"), "{done:?}");
        let again = visitor.post(link, "").await;
        assert!(again.body.contains("was confirmed before"), "{again:?}");
    }
    for link in &links[2..] {
        let done = visitor.post(link, &passwords(NEW_PASSWORD)).await;
        assert_eq!(done.status, 303, "{done:?}");
    }
}
