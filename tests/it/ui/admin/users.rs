//! The list of users, one user's page, and the creation of users.

use std::sync::Arc;

use authy_server::sink::Webhook;
use authy_tests::{
    new_account, operator,
    receiver::{Reaction, Receiver},
};

use super::*;

/// Returns the names of the users in a list, in its order.
fn listed(body: &str) -> Vec<String> {
    let links = body.split("<div class=\"who\"><a href=\"").skip(1);
    links.map(|link| link.split(['>', '<']).nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn users_are_found_by_the_beginning_of_name_and_address_and_by_filters() {
    let app = app().await;
    let (root, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let (ada, eve, mallory) = (fresh_name("ada"), fresh_name("eve"), fresh_name("mallory"));
    app.authy.users().create(&operator(), new_account(&ada, "user")).await.unwrap();
    let id = app.authy.users().create(&operator(), new_account(&eve, "admin")).await.unwrap();
    app.anonymous().register(new_user(&mallory)).await.unwrap();
    app.authy.users().delete(&operator(), id).await.unwrap();
    let mut names = async |query: &str| {
        let answer = visitor.get(&format!("/authy/ui/admin/users?{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        listed(&answer.body)
    };
    // A form sends every field.
    let nothing = "q=&role=&validated=&deleted=";
    assert_eq!(names(nothing).await, [root.username.clone(), ada.clone(), eve.clone(), mallory.clone()]);
    for (query, expected) in [
        ("q=ADA", vec![&ada]),
        ("q=mallory&deleted=", vec![&mallory]),
        ("role=admin", vec![&eve]),
        ("role=user", vec![&ada, &mallory]),
        ("deleted=true", vec![&eve]),
        ("deleted=false&role=user&validated=true", vec![&ada]),
        ("validated=false", vec![&mallory]),
        ("q=nobody-at-all", vec![]),
    ] {
        assert_eq!(names(query).await, expected.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
    let body = visitor.get("/authy/ui/admin/users?q=a%22%3E%3Cb&role=user&deleted=false").await.body;
    assert!(body.contains("value=\"a&quot;&gt;&lt;b\""), "{body}");
    assert!(body.contains("<option selected>user</option>") && body.contains("value=\"false\" selected"), "{body}");
    // A link that was shared, with a role that is gone.
    let answer = visitor.get("/authy/ui/admin/users?role=no-such-role&q=ada").await;
    assert_eq!((answer.status, listed(&answer.body).len()), (400, 0), "{answer:?}");
    for part in ["aria-describedby=\"role-error\"", "There is no such role", "value=\"ada\"", "selected>no-such-role<"]
    {
        assert!(answer.body.contains(part), "{part}: {answer:?}");
    }
    for wrong in ["role=no-such-role", "deleted=perhaps", "after=nonsense", "after=AQAAAAAAAAAAAA"] {
        let answer = visitor.get(&format!("/authy/ui/admin/users?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
}

#[tokio::test]
async fn a_long_list_has_pages_that_lead_on_and_back_and_keep_the_filters() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "admin").await;
    let names: Vec<String> = (0..45).map(|number| format!("member-{number:02}")).collect();
    for name in &names {
        app.authy.users().create(&operator(), new_account(name, "guest")).await.unwrap();
    }
    let link = |body: &str, rel: &str| {
        let before = body.split(&format!("rel=\"{rel}\"")).next().filter(|before| before.len() < body.len())?;
        let link = before.rsplit("href=\"").next()?.split('"').next()?;
        Some(link.replace("&amp;", "&"))
    };
    let (mut seen, mut pages) = (Vec::new(), Vec::new());
    let mut next = Some("/authy/ui/admin/users?q=member-&role=guest".to_owned());
    while let Some(path) = next {
        let body = visitor.get(&path).await.body;
        assert!(body.contains("45 users") && body.contains("<option selected>guest</option>"), "{body}");
        seen.extend(listed(&body));
        next = link(&body, "next");
        pages.push((path, body));
    }
    assert_eq!((seen, pages.len()), (names, 3));
    let back = link(&pages[2].1, "prev").unwrap();
    assert_eq!(listed(&visitor.get(&back).await.body), listed(&pages[1].1));
    assert_eq!(link(&pages[0].1, "prev"), None);
}

#[tokio::test]
async fn the_page_of_a_user_tells_the_whole_story() {
    let app = app().await;
    let (root, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    app.authy.roles().grant(&operator(), &"guest".parse().unwrap(), subject.id).await.unwrap();
    visitor.post(&of(subject.id, "/grant?role=admin"), "").await;
    let page = visitor.get(&of(subject.id, "")).await;
    for part in [
        subject.username.as_str(),
        &format!("{}@example.org", subject.username),
        &subject.id.to_string(),
        "href=\"/authy/ui/admin/roles/guest\"",
        "Level 1",
        "Logged in on",
        "127.0.0.1",
        "<strong>Role granted</strong> <span class=\"badge\">admin</span>",
        "by the operator",
        &format!("by <a href=\"{}\">{}</a>", of(root.id, ""), root.username),
        "<code>session.opened</code>",
        "<time datetime=",
    ] {
        assert!(page.body.contains(part), "{part} is missing: {}", page.body);
    }
    // Another one's story has nothing of it.
    let other = visitor.get(&of(root.id, "")).await.body;
    assert!(
        other.contains("your account") && other.contains(&format!("for <a href=\"{}\"", of(subject.id, ""))),
        "{other}"
    );
    // Older events.
    for _ in 0..25 {
        app.authy.users().unlock(&operator(), subject.id).await.unwrap();
    }
    let body = visitor.get(&of(subject.id, "")).await.body;
    let older = body.split("href=\"").find(|link| link.contains("?after=")).unwrap().split('"').next().unwrap();
    let older = visitor.get(older).await;
    assert!(older.body.contains("Account created") && older.body.contains("Newest events"), "{older:?}");
}

#[tokio::test]
async fn what_became_of_the_webhook_of_a_sign_up_is_told() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "admin").await;
    let receiver = Receiver::start(|_| Reaction::Status(201)).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let webhook =
        Webhook::new(app.authy.clone(), format!("http://{}/", receiver.address).parse().unwrap(), secret).unwrap();
    let without = visitor.get(&of(app.user().await.id, "")).await.body;
    assert!(!without.contains("<dt>Webhook</dt>"), "{without}");
    let _background = app.authy.start_background_with(vec![Arc::new(webhook)]).await.unwrap();
    let id = app.anonymous().register(new_user(&fresh_name("ada"))).await.unwrap().public_id;
    until("the receiver has it", || async {
        app.authy.users().find(id).await.unwrap().unwrap().details == Some(api::user::Details::Created)
    })
    .await;
    let page = visitor.get(&of(id, "")).await.body;
    assert!(page.contains("<dt>Webhook</dt><dd>the service has its record</dd>"), "{page}");
}

#[tokio::test]
async fn an_administrator_invites_a_user_with_a_role_within_the_own_level() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "admin").await;
    let page = visitor.get("/authy/ui/admin/create-user").await.body;
    assert!(page.contains("<option selected>user</option>") && page.contains("<option>admin</option>"), "{page}");
    assert!(!page.contains("superadmin"), "{page}");
    let name = fresh_name("ada");
    let form = |role: &str, more: &str| format!("username={name}&email={name}%40example.org&role={role}{more}");
    let refused = visitor.post("/authy/ui/admin/create-user", &form("superadmin", "")).await;
    assert!(refused.status == 403 && refused.body.contains(&name), "{refused:?}");
    assert!(refused.body.contains("<option selected>user</option>"), "none is chosen by mistake: {refused:?}");
    // One that was deleted while the page was open.
    let gone = visitor.post("/authy/ui/admin/create-user", &form("gone", "")).await;
    for part in [
        "<select id=\"role\" name=\"role\" aria-invalid=\"true\" aria-describedby=\"role-error\" autofocus>",
        "<option selected>gone</option>",
        "id=\"role-error\">There is no such role, or not any more.</p>",
    ] {
        assert!(gone.status == 400 && gone.body.contains(part), "{part}: {gone:?}");
    }
    let wrong = visitor.post("/authy/ui/admin/create-user", "username=a&email=b&role=guest").await;
    assert!(wrong.status == 400 && wrong.body.contains("id=\"username-error\""), "{wrong:?}");
    assert!(wrong.body.contains("<option selected>guest</option>"), "{wrong:?}");
    let answer = visitor.post("/authy/ui/admin/create-user", &form("guest", "&validated=true")).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let shown = visitor.get(answer.header("location")).await.body;
    assert!(shown.contains("A mail with the invitation is on its way.") && shown.contains(&name), "{shown}");
    let user = app.authy.users().find_named(&name.parse().unwrap()).await.unwrap().unwrap();
    assert!(user.validated && held(&app, user.public_id).await == ["guest"], "{user:?}");
    assert!(kinds(&app, user.public_id).await.contains(&"reset.requested".to_owned()));
    let taken = visitor.post("/authy/ui/admin/create-user", &form("guest", "")).await;
    assert_eq!(taken.status, 409, "{taken:?}");
}
