//! Access tokens that the operator gets without a login.

use authy_core::{
    Authenticator as _, ClientInfo, ErrorKind, Secret, UserId, api::account::AccountChange, engine::Caller,
};
use authy_tests::{TestApp, operator};

#[tokio::test]
async fn only_the_operator_gets_a_token_of_another_user() {
    let app = TestApp::new().await;
    let (root, user) = (app.superadmin().await, app.user().await);
    let identity = app.authy.authenticate(root.token.expose()).await.unwrap();
    for caller in [Caller::anonymous(ClientInfo::default()), Caller::user(identity, ClientInfo::default())] {
        let refused = app.authy.sessions().issue_token(&caller, user.id).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::BeyondYourLevel);
    }
    let operator = operator();
    let issue = |user| app.authy.sessions().issue_token(&operator, user);
    let anonymous = issue(UserId::random()).await.unwrap_err();
    assert_eq!(anonymous.kind(), ErrorKind::NotFound);
    let token = issue(user.id).await.unwrap();
    assert_eq!(app.authy.authenticate(token.expose()).await.unwrap().public_id, user.id);
    // It is no login, so it is not enough to change the account with.
    let change = AccountChange::password(None, Secret::new("carousel-marmalade-58")).unwrap();
    let refused = app.anonymous().with_token(token.clone()).change_user(user.id, change).await.unwrap_err();
    assert_eq!(refused.kind(), Some(ErrorKind::ReauthenticationRequired));
    // It is revoked with the roles that it names, as any other.
    app.authy.roles().revoke(&operator, &"user".parse().unwrap(), user.id).await.unwrap();
    assert_eq!(app.authy.authenticate(token.expose()).await.unwrap_err().kind(), ErrorKind::InvalidToken);
    assert_eq!(issue(user.id).await.unwrap_err().kind(), ErrorKind::NoRole);
    app.authy.users().delete(&operator, user.id).await.unwrap();
    assert_eq!(issue(user.id).await.unwrap_err().kind(), ErrorKind::AlreadyDeleted);
    // And forgotten like any other: the login's and the token's.
    let old = "UPDATE authy.session SET expires = now() - interval '2 days', access_until = now() - interval '2 days'
               WHERE user_id = $1";
    app.sql().await.execute(old, &[user.id.as_uuid()]).await.unwrap();
    assert_eq!(app.authy.maintain().await.unwrap().sessions, 2);
}
