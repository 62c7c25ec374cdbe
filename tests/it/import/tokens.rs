//! Tokens of the first authy, when something changes there between two imports.

use authy_tests::legacy;

use super::*;

#[tokio::test]
async fn what_changes_there_before_the_switch_voids_old_tokens_only_of_those_who_have_logged_in_here() {
    let names = ["four", "seven", "fine", "spaces", "ada", "keys"];
    let mut users: Vec<_> = old_database::users()
        .into_iter()
        .filter(|user| names.contains(&user.username.as_deref().unwrap_or_default()))
        .collect();
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    let old = old_database::create(&users).await;
    let app = TestApp::with(|config, _| config.legacy_tokens = Some(legacy::accepted())).await;
    import(&app.authy, first_authy(&old)).await;
    let named = |name: &str| users.iter().find(|user| user.username.as_deref() == Some(name)).unwrap();
    let token = |name: &str| legacy::token(named(name).public_id.as_ref().unwrap().parse().unwrap(), name);
    let level = async |token: &str| app.authy.authenticate(token).await.ok().map(|identity| identity.level.get());
    let tokens: BTreeMap<&str, String> = names.iter().map(|name| (*name, token(name))).collect();
    // One has logged in here, and one has used an old token.
    assert!(log_in(&app, &app.anonymous(), "ada", &named("ada").password).await.is_some());
    let used = token("keys");
    assert_eq!(level(&used).await, Some(10));

    let there = database::connect(&old).await;
    let hash =
        old_database::werkzeug(&[OldUser { password: "changed".to_owned(), ..users[0].clone() }]).await.remove(0);
    there
        .batch_execute(&format!(
            "UPDATE users SET password = '{hash}' WHERE username IN ('four', 'ada', 'keys');
             UPDATE users SET email = 'new@example.org' WHERE username = 'seven';
             INSERT INTO user_role SELECT id, 2 FROM users WHERE username = 'fine';
             UPDATE users SET deleted = true WHERE username = 'spaces';"
        ))
        .await
        .unwrap();
    let report = import(&app.authy, first_authy(&old)).await;
    assert_eq!(report.changed, users.len() as u64, "{report:#?}");
    for (name, expected) in
        [("four", Some(10)), ("seven", Some(10)), ("fine", Some(1)), ("spaces", None), ("ada", None), ("keys", None)]
    {
        assert_eq!(level(&tokens[name]).await, expected, "{name}");
    }
    assert_eq!(level(&used).await, None);
    // A new epoch all the same: who logs in during the import with the old password is refused.
    let epochs = "SELECT count(*) FROM authy.users WHERE ver > 1";
    assert_eq!(app.sql().await.query_one(epochs, &[]).await.unwrap().get::<_, i64>(0), users.len() as i64);

    // Again; and then a change here revokes what is left.
    there.batch_execute("UPDATE users SET email = 'newer@example.org' WHERE username = 'seven'").await.unwrap();
    import(&app.authy, first_authy(&old)).await;
    assert_eq!(level(&token("seven")).await, None, "its first use has opened a session here");
    there
        .batch_execute("DELETE FROM user_role WHERE user_id = (SELECT id FROM users WHERE username = 'four')")
        .await
        .unwrap();
    let fine = named("fine").public_id.as_ref().unwrap().parse().unwrap();
    assert_eq!(level(&token("fine")).await, Some(1));
    app.authy.roles().revoke(&operator(), &"admin".parse().unwrap(), fine).await.unwrap();
    assert_eq!(level(&token("fine")).await, None);
}
