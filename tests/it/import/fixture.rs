//! A database of the first authy, with users of every awkward kind.

use super::*;

#[tokio::test]
async fn every_user_of_the_first_authy_logs_in_as_before_and_nobody_as_another() {
    let users = old_database::users();
    assert!(users.len() >= 60, "{}", users.len());
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    let report = import(&app.authy, first_authy(&old)).await;
    let count = |fates: &[Fate]| users.iter().filter(|user| fates.contains(&user.fate)).count() as u64;
    let left_out = count(&[Fate::LeftOut]);
    assert_eq!((report.read, report.refused), (users.len() as u64, left_out), "{report:#?}");
    assert_eq!(report.created, users.len() as u64 - left_out, "{report:#?}");

    let (sql, client) = (app.sql().await, app.anonymous());
    for user in &users {
        let (name, id) = (user.username.as_deref().unwrap_or_default(), user.public_id.as_deref().unwrap_or_default());
        let logged_in = log_in(&app, &client, name, &user.password).await;
        let Fate::LogsIn(level) = user.fate else {
            assert_eq!(logged_in, None, "{user:?}");
            continue;
        };
        assert_eq!(logged_in, Some((id.parse().unwrap(), level)), "{user:?}");
        // The second login does not touch the old format.
        let replaced = stored(&sql, id).await.unwrap();
        assert!(replaced.starts_with("$argon2id$"), "{replaced} of {user:?}");
        assert!(log_in(&app, &client, name, &user.password).await.is_some(), "{user:?}");
        assert_eq!(stored(&sql, id).await.as_ref(), Some(&replaced), "{user:?}");
    }
    assert_eq!(
        sql.query_one("SELECT count(*) FROM authy.event WHERE kind = 'user.registered'", &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );
    let imported = "SELECT count(DISTINCT subject), count(*) FROM authy.event WHERE kind = 'user.imported'";
    let imported = sql.query_one(imported, &[]).await.unwrap();
    assert_eq!((imported.get::<_, i64>(0), imported.get::<_, i64>(1)), (report.created as i64, report.created as i64));
}

#[tokio::test]
async fn no_password_opens_another_account_of_which_the_name_folds_to_the_same() {
    let mut users = old_database::users();
    // Cheap hashes: there are many wrong passwords here.
    users.iter_mut().for_each(|user| user.method = "pbkdf2:sha256:1000");
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, first_authy(&old)).await;
    let (sql, client) = (app.sql().await, app.anonymous());
    // Those with aliases, and those whose key they have.
    let groups = sql
        .query(
            "SELECT array_agg(username) FROM authy.users u LEFT JOIN authy.alias a ON a.user_id = u.public_id
             GROUP BY coalesce(a.spelling_key, u.username_key) HAVING count(*) > 1",
            &[],
        )
        .await
        .unwrap();
    let groups: Vec<Vec<String>> = groups.iter().map(|row| row.get(0)).collect();
    assert!(groups.len() >= 6, "{groups:?}");
    let by_name: BTreeMap<&str, &OldUser> =
        users.iter().filter_map(|user| Some((user.username.as_deref()?, user))).collect();
    for group in &groups {
        for name in group {
            for user in users.iter().filter(|user| user.username.is_some()) {
                // Otherwise wrong passwords would delay the right one.
                sql.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
                let own = by_name[name.as_str()];
                let opened = log_in(&app, &client, name, &user.password).await.map(|(id, _)| id.to_string());
                let expected = (own.id == user.id).then(|| own.public_id.clone().unwrap());
                assert_eq!(opened, expected, "{name} with the password of {user:?}");
            }
        }
    }
    // Nor does that of anybody else's, whatever the name.
    let with_name: Vec<_> = users.iter().filter(|user| user.username.is_some()).collect();
    for (user, other) in with_name.iter().zip(with_name.iter().cycle().skip(1)) {
        sql.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
        let name = user.username.as_deref().unwrap();
        assert_eq!(log_in(&app, &client, name, &other.password).await, None, "{user:?} with the password of {other:?}");
    }
    sql.execute("DELETE FROM authy.throttle", &[]).await.unwrap();
    // A spelling that nobody has means the owner of the key alone.
    let owner = by_name["ada"];
    assert_eq!(log_in(&app, &client, "aDa", &owner.password).await.map(|(id, _)| id.to_string()), owner.public_id);
    for other in ["ADA", "ａｄａ"] {
        assert_eq!(log_in(&app, &client, "aDa", &by_name[other].password).await, None);
    }
}

#[tokio::test]
async fn times_are_those_of_two_time_zones() {
    let users = old_database::users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    let report = import(&app.authy, first_authy(&old)).await;
    assert_eq!(report.database_time_zone.as_deref(), Some("America/New_York"));
    let sql = app.sql().await;
    for (name, column, expected) in [
        ("ada", "created", Some("2020-03-01 11:00:00.123456+00")),
        ("ada", "last_login", None),
        ("logged-in", "last_login", Some("2023-07-01 16:00:00+00")),
        // Skipped: by the offset before. In Berlin that is an hour, in New York five.
        ("skipped", "created", Some("2021-03-28 01:30:00+00")),
        ("skipped", "last_login", Some("2021-03-14 07:30:00+00")),
        // Twice: standard time.
        ("doubled", "created", Some("2021-10-31 01:30:00+00")),
        ("doubled", "last_login", Some("2021-11-07 06:30:00+00")),
        ("gone", "deleted_at", Some("2021-10-31 01:30:00+00")),
        ("gone-undated", "deleted_at", Some("2020-03-01 11:00:00.123456+00")),
        ("dated", "deleted_at", None),
        ("unknown-deleted", "deleted_at", None),
        ("unknown-validated", "validated_at", None),
        ("old", "created", Some("1965-06-01 11:00:00+00")),
        ("endless", "created", Some("1970-01-01 00:00:00+00")),
        ("endless-login", "last_login", None),
        ("gone-long-ago", "deleted_at", Some("2020-03-01 11:00:00.123456+00")),
    ] {
        let query = format!("SELECT {column}::text FROM authy.users WHERE username = $1");
        sql.batch_execute("SET timezone = 'UTC'").await.unwrap();
        let found: Option<String> = sql.query_one(&query, &[&name]).await.unwrap().get(0);
        assert_eq!(found.as_deref(), expected, "{column} of {name}");
    }
}

#[tokio::test]
async fn an_imported_administrator_replaces_the_first_one() {
    let users = old_database::users();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, first_authy(&old)).await;
    assert!(app.authy.users().create_first_administrator(&operator()).await.unwrap().is_none());

    // Without one among them, somebody must be able to administer. Here the usual name is taken.
    let users: Vec<_> = users.into_iter().filter(|user| user.roles == [3]).collect();
    let old = old_database::create(&users).await;
    let app = TestApp::new().await;
    import(&app.authy, first_authy(&old)).await;
    let (name, password) = app.authy.users().create_first_administrator(&operator()).await.unwrap().unwrap();
    assert!(name.as_str().starts_with("admin-"), "{name}");
    let opened = log_in(&app, &app.anonymous(), name.as_str(), password.expose()).await;
    assert_eq!(opened.map(|(_, level)| level), Some(0));
    assert!(app.authy.users().create_first_administrator(&operator()).await.unwrap().is_none());
}
