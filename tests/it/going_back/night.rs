//! A night with this program, after which the first authy is started again.

use super::*;

/// What a night brings. Returns the users who signed up.
async fn night(app: &TestApp, users: &[OldUser]) -> BTreeMap<&'static str, UserId> {
    let authy = &app.authy;
    // Logins of users whose names fold to the same, and whose hashes are of each format.
    for name in ["ada", "ａｄａ", "ADA", "four", "decomposed", "keys", "scrypt-old", "root", "skipped", "two-roles"]
    {
        log_in(app, name, &named(users, name).password).await;
    }
    let mut new = BTreeMap::new();
    for name in ["new-one", "new-two", "new-gone", "new-erased"] {
        let email = format!("{name}@example.org");
        // Decomposed, as a Mac sends it: the old program hashes what it receives.
        let user = NewUser::new(name, &email, Secret::new("tange\u{301}rine-lighthouse-42")).unwrap();
        let caller = authy_core::engine::Caller::anonymous(authy_core::ClientInfo::default());
        new.insert(name, authy.users().register(&caller, user).await.unwrap());
    }
    let change = || AccountChange::password(None, OTHER).unwrap();
    authy.users().change(&operator(), id(named(users, "seven")), change()).await.unwrap();
    let code = authy.users().create_reset(&operator(), id(named(users, "fine"))).await.unwrap();
    app.anonymous().reset_password(PasswordReset::new(code, Secret::new(OTHER)).unwrap()).await.unwrap();
    authy.users().delete(&operator(), id(named(users, "spaces"))).await.unwrap();
    authy.users().restore(&operator(), id(named(users, "gone"))).await.unwrap();
    authy.users().erase(&operator(), id(named(users, "visitor"))).await.unwrap();
    authy.users().delete(&operator(), new["new-gone"]).await.unwrap();
    authy.users().erase(&operator(), new["new-erased"]).await.unwrap();
    let role = new_role("night shift", "Works at night", 42);
    authy.roles().create(&operator(), role.clone()).await.unwrap();
    authy.roles().grant(&operator(), &role.name, new["new-one"]).await.unwrap();
    authy.roles().grant(&operator(), &"admin".parse().unwrap(), id(named(users, "mega"))).await.unwrap();
    authy.roles().revoke(&operator(), &"admin".parse().unwrap(), id(named(users, "boss"))).await.unwrap();
    let sql = app.sql().await;
    sql.execute(
        "UPDATE authy.users SET email = 'Null@New.example', email_key = 'null@new.example' WHERE username = 'null'",
        &[],
    )
    .await
    .unwrap();
    sql.execute("UPDATE authy.users SET validated_at = now() WHERE username = 'unconfirmed'", &[]).await.unwrap();
    new
}

fn users() -> Vec<OldUser> {
    let mut users = cheap_users();
    let scrypt = users.iter_mut().find(|user| user.username.as_deref() == Some("scrypt")).unwrap();
    (scrypt.method, scrypt.username) = ("scrypt:1024:8:1", Some("scrypt-old".to_owned()));
    users
}

#[tokio::test]
async fn the_first_authy_goes_on_with_what_a_night_has_brought() {
    let users = users();
    let old = old_database::create(&users).await;
    let before = rows(&old).await;
    let app = keeping(&old).await;
    let new = night(&app, &users).await;
    // The hashes of ten logins, of four sign-ups of which one was erased, and of two new passwords.
    until_kept(&app.authy, 10 + 3 + 2).await;

    let planned = dry_run(&app.authy, &old).await;
    assert_eq!(rows(&old).await, before, "a dry run writes nothing");
    let done = export(&app.authy, &old).await;
    assert_eq!(sorted(planned), sorted(as_dry_run(&done)));
    assert!(done.is_complete(), "{done:#?}");
    assert_eq!((done.created, done.refused, done.roles_created), (3, 0, 1), "{done:#?}");
    assert_eq!(noted(&done, ExportNoteKind::MustReset), Vec::<String>::new());
    assert_eq!(noted(&done, ExportNoteKind::Erased), [id(named(&users, "visitor")).to_string()]);

    // Werkzeug verifies every password of a user who can log in, and no other.
    let (mut pairs, mut expected) = (Vec::new(), Vec::new());
    for user in users.iter().filter(|user| matches!(user.fate, Fate::LogsIn(_)) && user.public_id.is_some()) {
        let (name, hash) = (user.username.as_deref().unwrap(), there(&old, id(user)).await["password"].clone());
        let hash = hash.as_str().unwrap().to_owned();
        let is_changed = ["seven", "fine", "visitor"].contains(&name);
        pairs.extend([(hash.clone(), user.password.clone()), (hash, OTHER.to_owned())]);
        expected.extend([!is_changed, is_changed && name != "visitor"]);
    }
    for name in ["new-one", "new-two"] {
        let hash = there(&old, new[name]).await["password"].as_str().unwrap().to_owned();
        pairs.extend([(hash.clone(), "tange\u{301}rine-lighthouse-42".to_owned()), (hash, OTHER.to_owned())]);
        expected.extend([true, false]);
    }
    assert!(pairs.len() > 120);
    assert_eq!(old_database::verify(&pairs).await, expected, "{pairs:#?}");

    let one = there(&old, new["new-one"]).await;
    assert_eq!((&one["username"], &one["email"]), (&"new-one".into(), &"new-one@example.org".into()));
    assert_eq!((&one["validated"], &one["deleted"]), (&false.into(), &false.into()));
    assert_eq!(one["last_login"], one["created"], "never logged in");
    assert_eq!(one["roles"], serde_json::json!(["user", "night shift"]));
    let sql = database::connect(&old).await;
    let role = sql.query_one("SELECT level, description FROM role WHERE name = 'night shift'", &[]).await.unwrap();
    assert_eq!((role.get::<_, i32>(0), role.get::<_, &str>(1)), (42, "Works at night"));
    assert_eq!(there(&old, new["new-gone"]).await["deleted"], true);
    assert!(there(&old, new["new-erased"]).await.is_null());

    let of = async |name: &str| there(&old, id(named(&users, name))).await;
    let erased = of("visitor").await;
    assert_eq!((&erased["username"], &erased["password"]), (&"visitor".into(), &"!".into()));
    assert_eq!(
        (&erased["deleted"], &erased["email"], &erased["roles"]),
        (&true.into(), &().into(), &serde_json::json!([]))
    );
    assert_eq!(of("spaces").await["deleted"], true);
    assert!(of("spaces").await["delete_date"].is_string());
    assert_eq!((&of("gone").await["deleted"], &of("gone").await["delete_date"]), (&false.into(), &().into()));
    assert_eq!(of("mega").await["roles"], serde_json::json!(["admin", "mega guest"]));
    assert_eq!(of("boss").await["roles"], serde_json::json!([]));
    assert_eq!(of("null").await["email"], "Null@New.example");
    assert_eq!(of("unconfirmed").await["validated"], true);
    // Placeholders are not written: the source has what it had.
    assert_eq!(
        (&of("no-mail").await["email"], &of("mail-three").await["email"]),
        (&().into(), &"ME@example.org".into())
    );
    // A sign-up is in the time zone of the program.
    let query = "SELECT abs(extract(epoch FROM created - (now() AT TIME ZONE 'Europe/Berlin')))::float8 FROM users
                 WHERE username = 'new-one'";
    let seconds = sql.query_one(query, &[]).await.unwrap().get::<_, f64>(0);
    assert!(seconds < 900.0, "{seconds}");
    // A login is in the time zone of the database, and a time before it stays as it was.
    let query = "SELECT last_login > (now() AT TIME ZONE 'America/New_York') - interval '10 minutes'
                 FROM users WHERE username = 'ada'";
    assert!(sql.query_one(query, &[]).await.unwrap().get::<_, bool>(0));
    assert_eq!(of("logged-in").await["last_login"], "2023-07-01T12:00:00");

    // Users who did nothing in the night are as before, to the byte.
    let touched = [
        "ada",
        "ａｄａ",
        "ADA",
        "four",
        "decomposed",
        "keys",
        "scrypt-old",
        "root",
        "skipped",
        "two-roles",
        "seven",
        "fine",
        "spaces",
        "gone",
        "visitor",
        "mega",
        "boss",
        "null",
        "unconfirmed",
    ];
    let ids: Vec<String> = touched.iter().map(|name| named(&users, name).id.to_string()).collect();
    let untouched = |rows: Vec<String>| -> Vec<String> {
        let is_touched = |row: &serde_json::Value| {
            let id = row.get("user_id").unwrap_or(&row["id"]).to_string();
            ids.contains(&id) || id.parse::<i32>().is_ok_and(|id| id >= 1000 && id != 9999)
        };
        rows.into_iter()
            .filter(|row| !is_touched(&serde_json::from_str(row.split_once(' ').unwrap().1).unwrap()))
            .collect()
    };
    assert_eq!(untouched(rows(&old).await), untouched(before));

    // Once more there is nothing to do.
    let after = rows(&old).await;
    let again = export(&app.authy, &old).await;
    assert_eq!((again.created, again.changed, again.roles_created), (0, 0, 0), "{again:#?}");
    assert_eq!(rows(&old).await, after);
}

#[tokio::test]
async fn another_move_takes_what_the_first_authy_did_after_the_way_back() {
    let users = users();
    let old = old_database::create(&users).await;
    let app = keeping(&old).await;
    let new = night(&app, &users).await;
    until_kept(&app.authy, 15).await;
    export(&app.authy, &old).await;
    let sql = app.sql().await;
    let state = "SELECT to_jsonb(u)::text || coalesce(phc, '') FROM authy.users u LEFT JOIN authy.password ON user_id = public_id
                 UNION ALL SELECT to_jsonb(r)::text FROM authy.user_role r ORDER BY 1";
    let state = async || -> Vec<String> { sql.query(state, &[]).await.unwrap().iter().map(|row| row.get(0)).collect() };
    let before = state().await;
    let report = import(&app.authy, &old).await;
    assert_eq!((report.created, report.changed), (0, 0), "{report:#?}");
    assert_eq!(state().await, before);

    // A new password and a login there; the user who signed up here is known.
    let hash =
        old_database::werkzeug(&[OldUser { password: "from there".to_owned(), ..users[0].clone() }]).await.remove(0);
    let there = database::connect(&old).await;
    for user in [new["new-one"], id(named(&users, "seven"))] {
        let query = "UPDATE users SET password = $1 WHERE public_id = $2";
        there.execute(query, &[&hash, &user.to_string()]).await.unwrap();
    }
    let report = import(&app.authy, &old).await;
    assert_eq!((report.created, report.changed, report.refused), (0, 2, 5), "{report:#?}");
    log_in(&app, "new-one", "from there").await;
    log_in(&app, "seven", "from there").await;
}
