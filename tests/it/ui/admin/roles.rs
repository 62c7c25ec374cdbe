//! Roles: the list, who has which, creation and deletion.

use super::*;

#[tokio::test]
async fn roles_are_listed_created_and_deleted() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "admin").await;
    let list = visitor.get("/authy/ui/admin/roles").await.body;
    for role in ["superadmin", "admin", "user", "guest"] {
        assert!(list.contains(&format!("href=\"/authy/ui/admin/roles/{role}\"")), "{list}");
    }
    let wrong = visitor.post("/authy/ui/admin/create-role", "name=a&description=b&level=x").await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    for field in ["name", "description", "level"] {
        assert!(wrong.body.contains(&format!("id=\"{field}-error\"")), "{field}: {wrong:?}");
    }
    let form = |level: u32| format!("name=head+of+sales&description=sees+all+sales&level={level}");
    let beyond = visitor.post("/authy/ui/admin/create-role", &form(0)).await;
    assert!(beyond.status == 403 && beyond.body.contains("Your roles do not permit this."), "{beyond:?}");
    let taken = visitor.post("/authy/ui/admin/create-role", &form(10)).await;
    assert!(taken.status == 409 && taken.body.contains("A role with this name or this level exists."), "{taken:?}");
    let answer = visitor.post("/authy/ui/admin/create-role", &form(50)).await;
    let page = "/authy/ui/admin/roles/head%20of%20sales";
    assert_eq!(answer.header("location"), format!("{page}?notice=role_created"), "{answer:?}");
    let shown = visitor.get(answer.header("location")).await.body;
    assert!(shown.contains("sees all sales") && shown.contains(&format!("href=\"{page}/delete\"")), "{shown}");
    let question = visitor.get(&format!("{page}/delete")).await.body;
    assert!(question.contains("Delete the role head of sales?"), "{question}");

    // As long as somebody has it, it stays.
    let user = app.user().await;
    visitor.post(&of(user.id, "/grant?role=head+of+sales"), "").await;
    assert_eq!(held(&app, user.id).await, ["user", "head of sales"]);
    let shown = visitor.get(page).await.body;
    assert!(shown.contains(&user.username) && !shown.contains("/delete\""), "{shown}");
    let refused = visitor.post(&format!("{page}/delete"), "").await;
    assert!(refused.status == 409 && refused.body.contains("Somebody has this role"), "{refused:?}");
    visitor.post(&of(user.id, "/revoke?role=head+of+sales"), "").await;
    let answer = visitor.post(&format!("{page}/delete"), "").await;
    assert_eq!(answer.header("location"), "/authy/ui/admin/roles?notice=role_deleted", "{answer:?}");
    assert_eq!(visitor.get(page).await.status, 404);
}

#[tokio::test]
async fn a_role_beyond_the_callers_level_can_be_seen_and_not_deleted() {
    let app = app().await;
    let (_, mut root) = Visitor::with_role(&app, "superadmin").await;
    root.post("/authy/ui/admin/create-role", "name=auditor&description=sees+everything&level=2").await;
    root.post("/authy/ui/admin/create-role", "name=steward&description=manages+users&level=3").await;
    let (_, mut visitor) = Visitor::with_role(&app, "steward").await;
    let shown = visitor.get("/authy/ui/admin/roles/auditor").await;
    assert!(shown.status == 200 && !shown.body.contains("/delete\""), "{shown:?}");
    for answer in [
        visitor.get("/authy/ui/admin/roles/auditor/delete").await,
        visitor.post("/authy/ui/admin/roles/auditor/delete", "").await,
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert!(root.get("/authy/ui/admin/roles/auditor").await.body.contains("/authy/ui/admin/roles/auditor/delete"));
    assert_eq!(root.post("/authy/ui/admin/roles/user/delete", "").await.status, 409, "it belongs to the installation");
}

#[tokio::test]
async fn who_has_a_role_is_listed_in_pages() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "admin").await;
    let mut names = Vec::new();
    for _ in 0..25 {
        names.push(app.user_with_role("guest").await.username);
    }
    let first = visitor.get("/authy/ui/admin/roles/guest").await.body;
    assert!(first.contains("25 users"), "{first}");
    let next = first.split("href=\"").find(|link| link.contains("?after=")).unwrap().split('"').next().unwrap();
    let second = visitor.get(next).await.body;
    for (number, name) in names.iter().enumerate() {
        assert_eq!(
            (first.contains(name.as_str()), second.contains(name.as_str())),
            (number < 20, number >= 20),
            "{name}"
        );
    }
}
