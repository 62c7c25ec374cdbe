//! Levels outside of the range for new roles are compared as they are.

use authy_client::Error;
use authy_core::{
    ErrorKind, Level,
    api::{account::AccountChange, user::Deletion},
};

use super::*;

fn is_refused<T: std::fmt::Debug>(done: Result<T, Error>, kind: ErrorKind) {
    assert_eq!(done.unwrap_err().kind(), Some(kind));
}

#[tokio::test]
async fn a_level_below_zero_is_more_powerful_than_every_other() {
    let imported = Imported::new().await;
    imported.role("god", "before time", -5).await;
    let zeus = imported.user("Zeus !", "zeus@example.org", "god").await;
    let (superadmin, user) = (imported.app.superadmin().await, imported.app.user().await);
    let root = superadmin.client.clone();
    is_refused(root.delete_user(zeus, Deletion::PLAIN).await, ErrorKind::BeyondYourLevel);
    is_refused(root.delete_user(zeus, Deletion::ERASE).await, ErrorKind::BeyondYourLevel);
    is_refused(root.end_user_sessions(zeus).await, ErrorKind::BeyondYourLevel);
    is_refused(root.send_reset(zeus).await, ErrorKind::BeyondYourLevel);
    is_refused(root.grant_role(role("god"), user.id).await, ErrorKind::BeyondYourLevel);
    is_refused(root.revoke_role(role("god"), zeus).await, ErrorKind::BeyondYourLevel);
    is_refused(root.delete_role(role("god")).await, ErrorKind::BeyondYourLevel);
    let change = AccountChange::password(None, "carousel-marmalade-58").unwrap();
    is_refused(root.change_user(zeus, change).await, ErrorKind::BeyondYourLevel);

    let zeus = imported.log_in("Zeus !").await;
    let granted = zeus.client.check_access(Level::clamped(0)).await.unwrap();
    assert_eq!((granted.level.get(), granted.level.to_string()), (-5, "-5".to_owned()));
    is_refused(zeus.client.delete_self().await, ErrorKind::LastOfItsKind);
    zeus.client.end_user_sessions(superadmin.id).await.unwrap();
    zeus.client.grant_role(role("god"), user.id).await.unwrap();
    zeus.client.delete_self().await.unwrap();
}

#[tokio::test]
async fn a_level_beyond_the_largest_passes_no_check() {
    let imported = Imported::new().await;
    imported.role("outcast", "outside", 100_000).await;
    imported.user("Io !", "io@example.org", "outcast").await;
    let io = imported.log_in("Io !").await;
    assert_eq!(io.client.get_self().await.unwrap().username.as_str(), "Io !");
    for level in [0, 99, Level::MAX] {
        is_refused(io.client.check_access(Level::clamped(level)).await, ErrorKind::InsufficientLevel);
    }
    is_refused(io.client.get_user(io.id).await, ErrorKind::InsufficientLevel);
}

#[tokio::test]
async fn a_powerful_role_that_nobody_has_does_not_let_the_last_superadmin_go() {
    let imported = Imported::new().await;
    imported.role("god", "before time", -5).await;
    let root = imported.app.superadmin().await;
    is_refused(root.client.delete_self().await, ErrorKind::LastOfItsKind);
    // Nor one that a deleted user had.
    let zeus = imported.user("Zeus !", "zeus@example.org", "god").await;
    let delete = "UPDATE authy.users SET deleted_at = now() WHERE public_id = $1";
    imported.sql.execute(delete, &[zeus.as_uuid()]).await.unwrap();
    is_refused(root.client.delete_self().await, ErrorKind::LastOfItsKind);
}
