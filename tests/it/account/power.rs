//! Who may change whom.

use authy_tests::{operator, until};

use super::*;

#[tokio::test]
async fn who_may_change_whom() {
    const ROLES: [&str; 4] = ["superadmin", "admin", "user", "guest"];
    // A line a caller: what each of them is answered about a superadmin, an admin, a user, and a guest.
    const TABLE: [(&str, [&str; 4]); 5] = [
        ("superadmin", ["ok", "ok", "ok", "ok"]),
        ("admin", ["beyond_your_level", "ok", "ok", "ok"]),
        ("user", ["insufficient_level"; 4]),
        ("guest", ["insufficient_level"; 4]),
        ("anonymous", ["token_required"; 4]),
    ];
    let app = TestApp::new().await;
    for (caller, answers) in TABLE {
        for (target, expected) in ROLES.into_iter().zip(answers) {
            let target_user = app.user_with_role(target).await;
            let client = match caller {
                "anonymous" => app.anonymous(),
                role => app.user_with_role(role).await.client,
            };
            let email = format!("{}@example.com", fresh_name("new")).parse().unwrap();
            let change = AccountChange { email: Some(email), ..new_password() };
            let answer = client.change_user(target_user.id, change).await;
            let said = answer.as_ref().map_or_else(|error| error.kind().unwrap().code(), |_| "ok");
            assert_eq!(said, expected, "{caller} changes {target}");
            let is_changed = said == "ok";
            assert_eq!(logs_in(&app, &target_user.username, OTHER).await, is_changed, "{caller} {target}");
            assert_eq!(logs_in(&app, &target_user.username, PASSWORD).await, !is_changed, "{caller} {target}");
            assert_eq!(target_user.client.get_self().await.is_ok(), !is_changed, "{caller} {target}");
        }
        // A user without a role is less powerful than all others.
        let anonymous = app.user().await;
        app.authy.roles().revoke(&operator(), &"user".parse().unwrap(), anonymous.id).await.unwrap();
        let client = match caller {
            "anonymous" => app.anonymous(),
            role => app.user_with_role(role).await.client,
        };
        let answer = client.change_user(anonymous.id, new_password()).await;
        let said = answer.as_ref().map_or_else(|error| error.kind().unwrap().code(), |_| "ok");
        assert_eq!(said, answers[3], "{caller} changes no user");
    }
    for role in ROLES {
        let user = app.user_with_role(role).await;
        let view = user.client.change_user(user.id, new_password()).await.unwrap();
        assert_eq!(view.public_id, user.id);
        assert!(logs_in(&app, &user.username, OTHER).await, "{role} changes oneself");
    }
    let (admin, unknown) = (app.admin().await, UserId::random());
    let missing = admin.client.change_user(unknown, new_password()).await.unwrap_err();
    assert_eq!(missing.kind(), Some(ErrorKind::NotFound));
    let gone = app.user().await;
    admin.client.delete_user(gone.id, Deletion::PLAIN).await.unwrap();
    let deleted = admin.client.change_user(gone.id, new_password()).await.unwrap_err();
    assert_eq!(deleted.kind(), Some(ErrorKind::AlreadyDeleted));
}

#[tokio::test]
async fn a_user_who_is_promoted_while_a_change_waits_is_beyond_the_callers_level() {
    let app = TestApp::new().await;
    let (admin, user) = (app.admin().await, app.user().await);
    let mut sql = app.sql().await;
    let tx = sql.transaction().await.unwrap();
    let superadmin = "superadmin".parse().unwrap();
    let granted = app.authy.within(&tx).roles().grant(&operator(), &superadmin, user.id).await.unwrap();
    let change = tokio::spawn(async move { admin.client.change_user(user.id, new_password()).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let watcher = app.sql().await;
    until("it waits", || async { watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0 }).await;
    tx.commit().await.unwrap();
    app.authy.committed(granted);
    assert_eq!(change.await.unwrap().unwrap_err().kind(), Some(ErrorKind::BeyondYourLevel));
}
