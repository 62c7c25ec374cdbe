//! Who may come in: every page of the console, for every kind of caller.

use super::*;

/// The pages of the console, with the path of each for these users, each method, and whether it says so of everybody.
fn pages() -> Vec<(&'static str, &'static str)> {
    let console = MATRIX.iter().filter(|(_, _, visitors)| [Administrator, FullPower].contains(visitors));
    console.flat_map(|(route, methods, _)| methods.split(' ').map(|method| (*route, method))).collect()
}

#[tokio::test]
async fn the_console_is_for_administrators_and_for_nobody_else() {
    let app = app().await;
    assert!(pages().len() > 25, "{:?}", pages());
    for role in ["guest", "user"] {
        let (_, mut visitor) = Visitor::with_role(&app, role).await;
        let subject = app.user().await;
        let before = kinds(&app, subject.id).await;
        for (route, method) in pages() {
            let path = path(&route.replace("{public_id}", &subject.id.to_string()));
            let answer = match method {
                "GET" => visitor.get(&path).await,
                _ => visitor.post(&path, "").await,
            };
            assert_eq!(answer.status, 403, "{role} {method} {route}: {answer:?}");
            assert!(answer.body.contains("Your roles do not permit this."), "{answer:?}");
            assert!(!answer.body.contains(&subject.username), "{answer:?}");
        }
        assert_eq!(kinds(&app, subject.id).await, before);
        let account = visitor.get("/authy/ui/account").await.body;
        assert!(!account.contains("/authy/ui/admin"), "{account}");
    }
    for role in ["admin", "superadmin"] {
        let (_, mut visitor) = Visitor::with_role(&app, role).await;
        assert!(visitor.get("/authy/ui/account").await.body.contains("href=\"/authy/ui/admin\""));
        for (route, method) in pages() {
            let answer = match method {
                "GET" => visitor.get(&path(route)).await,
                _ => visitor.post(&path(route), "").await,
            };
            let needs_all = MATRIX.iter().any(|(known, _, visitors)| known == &route && *visitors == FullPower);
            assert_eq!(answer.status == 403, needs_all && role == "admin", "{role} {method} {route}: {answer:?}");
            assert!(!answer.header("location").starts_with("/authy/ui/login"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_page_about_nobody_is_not_found_and_an_id_that_cannot_exist_too() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    for (route, method) in pages().into_iter().filter(|(route, _)| route.contains('{')) {
        let unknown = path(route);
        for path in [unknown.clone(), unknown.replace("00000000-0000-4000-8000-000000000000", "%00'%22")] {
            let answer = match method {
                "GET" => visitor.get(&path).await,
                _ => visitor.post(&path, "").await,
            };
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            assert!(answer.body.contains("There is nothing here"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn an_administrator_who_loses_the_role_loses_the_console_at_once() {
    let app = app().await;
    let (user, mut visitor) = Visitor::with_role(&app, "admin").await;
    let subject = app.user().await;
    assert_eq!(visitor.get(&of(subject.id, "/delete")).await.status, 200);
    let (admin, plain) = ("admin".parse().unwrap(), "user".parse().unwrap());
    app.authy.roles().grant(&authy_tests::operator(), &plain, user.id).await.unwrap();
    app.authy.roles().revoke(&authy_tests::operator(), &admin, user.id).await.unwrap();
    let answer = visitor.post(&of(subject.id, "/delete"), "").await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(!app.authy.users().find(subject.id).await.unwrap().unwrap().deleted);
    // Deleted altogether.
    let (user, mut visitor) = Visitor::with_role(&app, "admin").await;
    app.authy.users().delete(&authy_tests::operator(), user.id).await.unwrap();
    let answer = visitor.get("/authy/ui/admin/users").await;
    assert_eq!((answer.status, answer.header("location").starts_with("/authy/ui/login")), (303, true), "{answer:?}");
}
