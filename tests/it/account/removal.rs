//! Deletion, restoration, erasure and export.

use super::*;

#[tokio::test]
async fn a_deleted_user_comes_back_with_everything_but_the_sessions() {
    let app = TestApp::new().await;
    let (admin, user) = (app.admin().await, app.user().await);
    let refused = admin.client.restore_user(user.id).await.unwrap_err();
    assert_eq!((refused.kind(), refused.status()), (Some(ErrorKind::NotDeleted), Some(409)));
    user.client.delete_self().await.unwrap();
    admin.client.restore_user(user.id).await.unwrap();
    assert!(user.client.get_self().await.is_err());
    let again = app.again(&user).await;
    assert_eq!(again.client.get_own_roles().await.unwrap().roles[0].name.as_str(), "user");
    let view = admin.client.get_user(user.id).await.unwrap();
    assert_eq!((view.deleted, view.delete_date), (false, None));
    let missing = admin.client.restore_user(UserId::random()).await.unwrap_err();
    assert_eq!(missing.kind(), Some(ErrorKind::NotFound));

    let (root, peer) = (app.superadmin().await, app.superadmin().await);
    root.client.delete_user(peer.id, Deletion::PLAIN).await.unwrap();
    let beyond = admin.client.restore_user(peer.id).await.unwrap_err();
    assert_eq!(beyond.kind(), Some(ErrorKind::BeyondYourLevel));
    root.client.restore_user(peer.id).await.unwrap();
}

#[tokio::test]
async fn an_erased_user_leaves_no_trace_and_keeps_name_and_address() {
    let app = TestApp::new().await;
    let (root, admin, user) = (app.superadmin().await, app.admin().await, app.user().await);
    user.client.list_sessions().await.unwrap();
    let refused = admin.client.delete_user(user.id, Deletion::ERASE).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::BeyondYourLevel));
    root.client.delete_user(user.id, Deletion::ERASE).await.unwrap();
    assert!(user.client.get_self().await.is_err());
    assert!(!logs_in(&app, &user.username, PASSWORD).await);

    let view = root.client.get_user(user.id).await.unwrap();
    assert!(view.deleted && view.username.as_str().starts_with("erased-"), "{view:?}");
    let again = root.client.delete_user(user.id, Deletion::ERASE).await.unwrap_err();
    assert_eq!((again.kind(), again.status()), (Some(ErrorKind::AlreadyDeleted), Some(410)));
    let back = root.client.restore_user(user.id).await.unwrap_err();
    assert_eq!(back.kind(), Some(ErrorKind::AlreadyDeleted));

    // Neither name nor address is anywhere in the database, and both are taken, also for a change of address.
    let sql = app.sql().await;
    let tables = sql
        .query("SELECT relname FROM pg_class WHERE relnamespace = 'authy'::regnamespace AND relkind IN ('r', 'p')", &[])
        .await
        .unwrap();
    for table in tables {
        let table: String = table.get(0);
        let query = format!("SELECT count(*) FROM authy.{table} AS t WHERE t::text ILIKE '%{}%'", user.username);
        assert_eq!(sql.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
    }
    let origins = "SELECT count(*) FROM authy.event WHERE (actor = $1 OR (subject = $1 AND actor IS NULL))
                   AND (ip IS NOT NULL OR user_agent IS NOT NULL)";
    assert_eq!(sql.query_one(origins, &[user.id.as_uuid()]).await.unwrap().get::<_, i64>(0), 0);
    let events = "SELECT count(*) FROM authy.event WHERE subject = $1";
    assert!(
        sql.query_one(events, &[user.id.as_uuid()]).await.unwrap().get::<_, i64>(0) >= 3,
        "events keep their shape"
    );

    let address = format!("{}@example.org", user.username);
    for (name, email) in
        [(user.username.as_str(), "fresh@example.org"), (&*fresh_name("x"), &*address), (&*user.username, &*address)]
    {
        let taken = app.anonymous().register(NewUser::new(name, email, Secret::new(PASSWORD)).unwrap()).await;
        assert_eq!(taken.unwrap_err().kind(), Some(ErrorKind::AlreadyRegistered), "{name} {email}");
    }
    let change = AccountChange::email(None, address.parse().unwrap());
    admin.client.change_user(admin.id, change).await.unwrap();
    let notifications = app.notifications(admin.id, EventKind::EmailRequested).await;
    assert!(
        notifications.iter().all(|notification| notification.code.is_none()),
        "it is answered, and no code is sent: {notifications:?}"
    );
}

#[tokio::test]
async fn a_deleted_user_can_be_erased_and_the_last_superadmin_cannot() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    root.client.delete_user(user.id, Deletion::PLAIN).await.unwrap();
    root.client.delete_user(user.id, Deletion::ERASE).await.unwrap();
    let last = root.client.delete_user(root.id, Deletion::ERASE).await.unwrap_err();
    assert_eq!(last.kind(), Some(ErrorKind::LastOfItsKind));
    let head =
        format!("DELETE /authy/user/{}?erase=perhaps HTTP/1.1\nx-access-token: {}", user.id, root.token.expose());
    assert_eq!(send(app.address, &head, "").await.code(), "invalid_input");
}

#[tokio::test]
async fn an_export_has_everything_stored_about_the_user_and_no_secret() {
    let app = TestApp::new().await;
    let user = app.user().await;
    app.again(&user).await;
    user.client.end_other_sessions().await.unwrap();
    let pending = format!("{}@example.com", user.username);
    let change = AccountChange::email(None, pending.parse().unwrap());
    user.client.change_user(user.id, change).await.unwrap();
    // More events than a page has.
    for _ in 0..120 {
        app.anonymous().login(credentials(&user.username)).await.unwrap();
    }
    let user = app.again(&user).await;
    let export = user.client.export_self().await.unwrap();
    let linked = app.authy.users().export(user.id).await.unwrap();
    assert_eq!((&linked.user, &linked.roles, linked.events.len()), (&export.user, &export.roles, export.events.len()));
    assert_eq!(export.user.pending_email.map(|email| email.as_str().to_owned()), Some(pending));
    assert_eq!((export.roles.len(), export.sessions.len()), (1, 123));
    assert_eq!(
        export.sessions.iter().filter(|session| session.ended.is_some()).count(),
        23,
        "with the oldest of too many"
    );
    let kinds: Vec<_> = export.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "session.opened").count(), 123);
    assert_eq!(kinds.last(), Some(&"user.registered"));
    let head = format!("GET /authy/user/export HTTP/1.1\nx-access-token: {}", user.token.expose());
    let text = send(app.address, &head, "").await;
    assert_eq!(text.header("cache-control"), "no-store");
    assert!(!text.body.contains("argon2") && !text.body.contains("phc"));
}
