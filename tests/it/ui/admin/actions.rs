//! What is done with a user: each is asked first, done by a form, and refused beyond the caller's level.

use super::*;

#[tokio::test]
async fn a_question_says_what_happens_to_whom_and_changes_nothing() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    let session = sessions_of(&app, subject.id).await[0];
    let before = kinds(&app, subject.id).await;
    let pages = ["/reset", "/unlock", "/end-sessions", "/delete", "/erase", "/grant?role=admin", "/revoke?role=user"];
    for page in pages.iter().map(ToString::to_string).chain([format!("/sessions/{session}")]) {
        for method in ["GET", "HEAD"] {
            let answer = visitor.send(&format!("{method} {} HTTP/1.1", of(subject.id, &page)), "").await;
            assert_eq!(answer.status, 200, "{page}: {answer:?}");
        }
        let body = visitor.get(&of(subject.id, &page)).await.body;
        for part in [
            &subject.username,
            &format!("{}@example.org", subject.username),
            &subject.id.to_string(),
            "<form method=\"post\">",
        ] {
            assert!(body.contains(part), "{page} lacks {part}: {body}");
        }
    }
    assert_eq!(kinds(&app, subject.id).await, before);
    assert_eq!(held(&app, subject.id).await, ["user"]);
}

#[tokio::test]
async fn each_action_is_done_once_and_the_page_says_so() {
    for role in ["superadmin", "admin"] {
        act_as(role).await;
    }
}

/// Does everything that one with a role may do with a user.
async fn act_as(role: &str) {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, role).await;
    let subject = app.user().await;
    let session = sessions_of(&app, subject.id).await[0];
    let end = format!("/sessions/{session}");
    let actions = [
        ("/reset", "A mail with the link is on its way.", "reset.requested"),
        ("/unlock", "The account is unlocked.", "account.unlocked"),
        (end.as_str(), "The device is logged out.", "session.ended"),
        ("/end-sessions", "The user is logged out everywhere.", "sessions.ended"),
        ("/grant?role=admin", "The user has the role now.", "role.granted"),
        ("/revoke?role=admin", "The user no longer has the role.", "role.revoked"),
        ("/delete", "The account is deleted.", "user.deleted"),
        ("/restore", "The account is restored.", "user.restored"),
        ("/erase", "The personal data is erased.", "user.erased"),
    ];
    // Only the most powerful erase.
    for (page, notice, kind) in actions.into_iter().filter(|(page, ..)| role == "superadmin" || *page != "/erase") {
        let answer = visitor.post(&of(subject.id, page), "").await;
        assert_eq!(answer.status, 303, "{role}: {page}: {answer:?}");
        let shown = visitor.get(answer.header("location")).await;
        assert!(shown.status == 200 && shown.body.contains(notice), "{role}: {page}: {shown:?}");
        assert_eq!(kinds(&app, subject.id).await.last().unwrap(), kind, "{role}: {page}");
    }
    assert!(sessions_of(&app, subject.id).await.is_empty());
}

#[tokio::test]
async fn what_the_engine_refuses_is_said_on_the_page_that_asked() {
    let app = app().await;
    let (root, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    let mut refused = async |user: UserId, page: &str| {
        let answer = visitor.post(&of(user, page), "").await;
        assert!(answer.body.contains("role=\"alert\"") && answer.body.contains("<form method=\"post\">"), "{answer:?}");
        answer
    };
    for (page, status, said) in
        [("/restore", 409, "The account is not deleted."), ("/grant?role=user", 409, "The user has this role already.")]
    {
        let answer = refused(subject.id, page).await;
        assert!(answer.status == status && answer.body.contains(said), "{answer:?}");
    }
    // The last of the most powerful.
    for page in ["/delete", "/erase", "/revoke?role=superadmin"] {
        let answer = refused(root.id, page).await;
        assert!(
            answer.status == 409 && answer.body.contains("the last account with the most powerful role"),
            "{answer:?}"
        );
    }
    app.authy.users().delete(&authy_tests::operator(), subject.id).await.unwrap();
    for page in ["/delete", "/reset", "/unlock", "/end-sessions", "/grant?role=admin", "/revoke?role=user"] {
        let answer = refused(subject.id, page).await;
        assert!(answer.status == 410 && answer.body.contains("The account was deleted."), "{page}: {answer:?}");
    }
    app.authy.users().erase(&authy_tests::operator(), subject.id).await.unwrap();
    for page in ["/restore", "/erase"] {
        let answer = refused(subject.id, page).await;
        assert_eq!(answer.status, 410, "{page}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_beyond_the_callers_level_is_not_offered_and_refused() {
    let app = app().await;
    let (admin, mut visitor) = Visitor::with_role(&app, "admin").await;
    let root = app.superadmin().await;
    let session = sessions_of(&app, root.id).await[0];
    let page = visitor.get(&of(root.id, "")).await;
    assert!(page.status == 200 && page.body.contains("you can look, and change nothing"), "{page:?}");
    let before = (kinds(&app, root.id).await, sessions_of(&app, root.id).await);
    let others = ["/grant?role=user", "/revoke?role=superadmin"].map(str::to_owned);
    let actions = ACTIONS.map(|action| format!("/{action}")).into_iter().chain(others);
    for action in actions.chain([format!("/sessions/{session}")]) {
        let path = of(root.id, &action);
        assert!(!page.body.contains(&format!("href=\"{path}")), "{action} is offered: {page:?}");
        assert_eq!(visitor.get(&path).await.status, 403, "{action}");
        let answer = visitor.post(&path, "").await;
        // Of a user who is not deleted, the engine says that before it looks at the power.
        let expected = if action == "/restore" { 409 } else { 403 };
        assert_eq!(answer.status, expected, "{action}: {answer:?}");
    }
    assert!(!page.body.contains("<select"), "no role is offered: {page:?}");
    assert_eq!((kinds(&app, root.id).await, sessions_of(&app, root.id).await), before);
    // Those of the same level can be acted on, but nobody erases who is not among the most powerful.
    let peer = app.admin().await;
    let page = visitor.get(&of(peer.id, "")).await.body;
    assert!(page.contains(&of(peer.id, "/delete")) && !page.contains(&of(peer.id, "/erase")), "{page}");
    assert!(page.contains("<option>user</option>") && !page.contains("<option>superadmin</option>"), "{page}");
    assert_eq!(visitor.get(&of(peer.id, "/erase")).await.status, 403);
    let refused = visitor.post(&of(peer.id, "/erase"), "").await;
    assert!(refused.status == 403 && refused.body.contains("Your roles do not permit this."), "{refused:?}");
    for answer in [
        visitor.get(&of(peer.id, "/grant?role=superadmin")).await,
        visitor.post(&of(peer.id, "/grant?role=superadmin"), "").await,
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert_eq!(held(&app, peer.id).await, ["admin"]);
    assert_eq!(visitor.post(&of(peer.id, "/delete"), "").await.status, 303);
    assert_eq!(held(&app, admin.id).await, ["admin"]);
}

#[tokio::test]
async fn of_a_deleted_user_what_makes_sense_is_offered() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    let mut offered = async || {
        let page = visitor.get(&of(subject.id, "")).await.body;
        ACTIONS.map(|action| page.contains(&format!("href=\"{}\"", of(subject.id, &format!("/{action}")))))
    };
    assert_eq!(offered().await, [true, true, true, true, false, true]);
    app.authy.users().delete(&authy_tests::operator(), subject.id).await.unwrap();
    assert_eq!(offered().await, [false, false, false, false, true, true]);
    app.authy.users().erase(&authy_tests::operator(), subject.id).await.unwrap();
    assert_eq!(offered().await, [false; 6]);
    let answer = visitor.get(&of(subject.id, "/restore")).await;
    assert_eq!((answer.status, answer.header("location")), (303, of(subject.id, "").as_str()), "{answer:?}");
}

#[tokio::test]
async fn a_device_is_said_to_be_logged_out_when_it_is() {
    let app = app().await;
    let (_, mut visitor) = Visitor::with_role(&app, "superadmin").await;
    let subject = app.user().await;
    let session = sessions_of(&app, subject.id).await[0];
    let page = of(subject.id, &format!("/sessions/{session}"));
    let sql = app.sql().await;
    // The list of sessions alone reads it.
    sql.batch_execute("ALTER TABLE authy.session RENAME COLUMN user_agent TO lost").await.unwrap();
    let failed = visitor.post(&page, "").await;
    assert!(failed.status >= 500, "{failed:?}");
    sql.batch_execute("ALTER TABLE authy.session RENAME COLUMN lost TO user_agent").await.unwrap();
    assert_eq!(sessions_of(&app, subject.id).await, [session]);
    // Once, and again when it has ended meanwhile.
    for _ in 0..2 {
        let answer = visitor.post(&page, "").await;
        assert_eq!(answer.header("location"), of(subject.id, "?notice=end_session_done"), "{answer:?}");
        assert!(sessions_of(&app, subject.id).await.is_empty());
    }
}

#[tokio::test]
async fn one_can_log_out_oneself_and_then_has_to_log_in() {
    let app = app().await;
    let (admin, mut visitor) = Visitor::with_role(&app, "admin").await;
    let answer = visitor.post(&of(admin.id, "/end-sessions"), "").await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let next = visitor.get(answer.header("location")).await;
    assert!(next.header("location").starts_with("/authy/ui/login?return="), "{next:?}");
}
