//! A database as the first authy leaves it behind: its schema, and users of every awkward kind.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio_postgres::Client;

use crate::{database, tools};

/// The tables, as its migrations make them.
const SCHEMA: &str = "
    CREATE TABLE users (
        id serial PRIMARY KEY, public_id varchar(50) UNIQUE, username varchar(50) UNIQUE, password varchar(200) NOT NULL,
        email varchar(100) UNIQUE, created timestamp NOT NULL, last_login timestamp, deleted boolean,
        delete_date timestamp, password_reset_datetime timestamp, password_reset_string varchar(100), validated boolean,
        validation_string varchar(100));
    CREATE TABLE role (
        id serial PRIMARY KEY, name varchar(50) UNIQUE, description varchar(100), level integer UNIQUE);
    CREATE TABLE user_role (user_id integer, role_id integer);
    CREATE TABLE alembic_version (version_num varchar(32) NOT NULL);
    INSERT INTO role (id, name, description, level) VALUES
        (1, 'superadmin', 'Superadministrator', 0), (2, 'admin', 'Administrator', 1), (3, 'user', 'User', 10),
        (4, 'visitor', 'a guest by another name', 99), (5, 'mega guest', 'x', 150), (6, 'Editor', '', 20),
        (7, 'editor', NULL, 30), (8, 'below', 'more than everything', -5), (9, 'beyond', 'less than nothing', 200000),
        (10, 'shapeless', 'without a level', NULL), (11, NULL, 'without a name', 40), (12, 'USER', 'shouting', 11),
        (13, '', 'with an empty name', 50);
    INSERT INTO user_role VALUES (9999, 3), (1, 999), (NULL, 3);";

/// What becomes of a user of the old database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// Logs in as before, with this level.
    LogsIn(i64),
    /// Is imported, and nobody can log in: deleted, without a role, or without a usable password.
    Stays,
    /// Is left out.
    LeftOut,
}

/// A user of the old database. What is not special about one is as `OldUser::new` makes it.
#[derive(Clone, Debug)]
pub struct OldUser {
    pub id: i32,
    pub public_id: Option<String>,
    pub username: Option<String>,
    pub password: String,
    /// How werkzeug hashes it.
    pub method: &'static str,
    /// What is stored instead of a hash.
    pub junk: Option<&'static str>,
    pub email: Option<String>,
    pub created: &'static str,
    pub last_login: Option<&'static str>,
    pub deleted: Option<bool>,
    pub delete_date: Option<&'static str>,
    pub validated: Option<bool>,
    pub roles: &'static [i32],
    pub fate: Fate,
}

impl OldUser {
    fn new(id: i32, username: &str) -> Self {
        Self {
            id,
            public_id: Some(format!("{id:08x}-0000-4000-8000-00000000000a")),
            username: Some(username.to_owned()),
            password: format!("password of {id}"),
            method: "pbkdf2:sha256:1000",
            junk: None,
            email: Some(format!("user{id}@example.org")),
            created: "2020-03-01 12:00:00.123456",
            last_login: Some("2020-03-01 12:00:00.123456"),
            deleted: Some(false),
            delete_date: None,
            validated: Some(true),
            roles: &[3],
            fate: Fate::LogsIn(10),
        }
    }
}

/// The users: at least one of every kind that was found in real databases.
pub fn users() -> Vec<OldUser> {
    let mut users = Vec::new();
    let mut add = |username: &str, change: &dyn Fn(&mut OldUser)| {
        let mut user = OldUser::new(i32::try_from(users.len()).unwrap() + 1, username);
        change(&mut user);
        users.push(user);
    };
    let plain = |_: &mut OldUser| ();
    // Power.
    add("root", &|user| (user.roles, user.fate) = (&[1, 3], Fate::LogsIn(0)));
    add("boss", &|user| (user.roles, user.fate) = (&[2], Fate::LogsIn(1)));
    add("visitor", &|user| (user.roles, user.fate) = (&[4], Fate::LogsIn(99)));
    add("mega", &|user| (user.roles, user.fate) = (&[5], Fate::LogsIn(150)));
    add("editor-one", &|user| (user.roles, user.fate) = (&[6], Fate::LogsIn(20)));
    add("editor-two", &|user| (user.roles, user.fate) = (&[7], Fate::LogsIn(30)));
    add("nameless-role", &|user| (user.roles, user.fate) = (&[11], Fate::LogsIn(40)));
    add("shouter", &|user| (user.roles, user.fate) = (&[12], Fate::LogsIn(11)));
    add("below", &|user| (user.roles, user.fate) = (&[8], Fate::LogsIn(-5)));
    add("beyond", &|user| (user.roles, user.fate) = (&[9], Fate::LogsIn(200_000)));
    add("levelless", &|user| (user.roles, user.fate) = (&[10], Fate::Stays));
    add("roleless", &|user| (user.roles, user.fate) = (&[], Fate::Stays));
    add("empty-role", &|user| (user.roles, user.fate) = (&[13], Fate::LogsIn(50)));
    add("twice-the-same", &|user| user.roles = &[3, 3]);
    add("two-roles", &|user| (user.roles, user.fate) = (&[10, 5, 3], Fate::LogsIn(10)));
    // Hashes.
    add("sha512", &|user| user.method = "pbkdf2:sha512:1000000");
    add("scrypt", &|user| user.method = "scrypt:32768:8:1");
    add("sha256", &|user| user.method = "pbkdf2:sha256:260000");
    add("sha1", &|user| user.method = "pbkdf2:sha1:1000");
    for (name, junk) in [
        ("no-hash", ""),
        ("junk", "junk"),
        ("plain-sha256", "sha256$salt$5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"),
        (
            "huge-scrypt",
            "scrypt:1048576:8:1$saltsaltsaltsalt$00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        ),
        ("cut", "pbkdf2:sha256:260000$salt$"),
    ] {
        add(name, &|user| (user.junk, user.fate) = (Some(junk), Fate::Stays));
    }
    // Passwords.
    add("four", &|user| user.password = "abcd".to_owned());
    add("seven", &|user| user.password = "1234567".to_owned());
    add("composed", &|user| user.password = "caf\u{e9} au lait".to_owned());
    add("decomposed", &|user| user.password = "cafe\u{301} olé".to_owned());
    add("keys", &|user| user.password = "🔑 пароль \u{3000}".to_owned());
    add("spaces", &|user| user.password = "  not trimmed  ".to_owned());
    add("long-password", &|user| user.password = "x".repeat(250));
    // Names, and those that fold together.
    for name in [
        "ada",
        "ａｄａ",
        "ADA",
        "User_One",
        "user_one",
        "USER_ONE",
        "rené",
        "rene\u{301}",
        "straße",
        "STRASSE",
        "ﬁne",
        "fine",
        "ada lovelace",
        "ada  lovelace",
        " ada",
        "ada ",
        "@home",
        "a@b.example",
        "a/b/c",
        "100%",
        "o'neil",
        "a\\b",
        "***",
        "<b>x</b>",
        "😀😀😀",
        "日本語",
        "عائشة",
        "аdа",
        "admin",
        "Admin",
        "null",
    ] {
        add(name, &plain);
    }
    add(&"n".repeat(50), &plain);
    add(&"ﷺ".repeat(50), &plain);
    add("tab\there", &plain);
    add("nobody", &|user| (user.username, user.fate) = (None, Fate::LeftOut));
    add("", &|user| user.fate = Fate::LeftOut);
    // Addresses.
    add("mail-one", &|user| user.email = Some("Me@Example.ORG".to_owned()));
    add("mail-two", &|user| user.email = Some("me@example.org".to_owned()));
    add("mail-three", &|user| (user.email, user.validated) = (Some("ME@example.org".to_owned()), None));
    add("mail-early", &|user| (user.email, user.validated) = (Some("Shared@example.org".to_owned()), None));
    add("mail-late", &|user| user.email = Some("shared@example.org".to_owned()));
    add("display", &|user| user.email = Some("me <x@y.zz> you".to_owned()));
    add("long-mail", &|user| user.email = Some(format!("{}@example.org", "l".repeat(88))));
    add("no-mail", &|user| user.email = None);
    add("empty-mail", &|user| user.email = Some(String::new()));
    // Public IDs.
    add("no-id", &|user| (user.public_id, user.fate) = (None, Fate::LeftOut));
    add("upper-id", &|user| {
        (user.public_id, user.fate) = (Some("5E8F2A52-1D0B-4C1A-9D6B-0F3D2A4F8E10".to_owned()), Fate::LeftOut);
    });
    add("bad-id", &|user| (user.public_id, user.fate) = (Some("17".to_owned()), Fate::LeftOut));
    add("version-one", &|user| user.public_id = Some("d7a1b2c0-5f3e-11ea-bc55-0242ac130003".to_owned()));
    // Deletion and confirmation.
    add("gone", &|user| {
        (user.deleted, user.delete_date, user.fate) = (Some(true), Some("2021-10-31 02:30:00"), Fate::Stays);
    });
    add("gone-undated", &|user| (user.deleted, user.fate) = (Some(true), Fate::Stays));
    add("dated", &|user| user.delete_date = Some("2021-01-01 00:00:00"));
    add("unknown-deleted", &|user| (user.deleted, user.delete_date) = (None, Some("2021-01-01 00:00:00")));
    add("unknown-validated", &|user| user.validated = None);
    add("unconfirmed", &|user| user.validated = Some(false));
    // Times.
    add("skipped", &|user| (user.created, user.last_login) = ("2021-03-28 02:30:00", Some("2021-03-14 02:30:00")));
    add("doubled", &|user| (user.created, user.last_login) = ("2021-10-31 02:30:00", Some("2021-11-07 01:30:00")));
    add("old", &|user| (user.created, user.last_login) = ("1965-06-01 12:00:00", None));
    add("endless", &|user| user.created = "infinity");
    add("endless-login", &|user| user.last_login = Some("infinity"));
    add("gone-long-ago", &|user| {
        (user.deleted, user.delete_date, user.fate) = (Some(true), Some("0044-03-15 12:00:00 BC"), Fate::Stays);
    });
    add("logged-in", &|user| user.last_login = Some("2023-07-01 12:00:00"));
    users
}

/// A database of the first authy with these users, whose hashes werkzeug has made.
pub async fn create(users: &[OldUser]) -> tokio_postgres::Config {
    let config = database::empty().await;
    let sql = database::connect(&config).await;
    sql.batch_execute(SCHEMA).await.unwrap();
    let zone = format!("ALTER DATABASE {} SET timezone = 'America/New_York'", config.get_dbname().unwrap());
    sql.batch_execute(&zone).await.unwrap();
    let hashes = werkzeug(users).await;
    for (user, hash) in users.iter().zip(hashes) {
        insert(&sql, user, &hash).await;
    }
    // The program lets the database number its rows.
    let numbers = "SELECT setval('users_id_seq', 1000), setval('role_id_seq', 1000)";
    sql.execute(numbers, &[]).await.unwrap();
    config
}

/// Inserts a user.
pub async fn insert(sql: &Client, user: &OldUser, hash: &str) {
    let statement = "INSERT INTO users (id, public_id, username, password, email, created, last_login, deleted, delete_date,
                                        validated)
                     VALUES ($1, $2, $3, $4, $5, $6::text::timestamp, $7::text::timestamp, $8, $9::text::timestamp, $10)";
    let stored = user.junk.unwrap_or(hash);
    sql.execute(
        statement,
        &[
            &user.id,
            &user.public_id,
            &user.username,
            &stored,
            &user.email,
            &user.created,
            &user.last_login,
            &user.deleted,
            &user.delete_date,
            &user.validated,
        ],
    )
    .await
    .unwrap();
    for role in user.roles {
        sql.execute("INSERT INTO user_role VALUES ($1, $2)", &[&user.id, role]).await.unwrap();
    }
}

/// The hashes that werkzeug makes of the passwords.
pub async fn werkzeug(users: &[OldUser]) -> Vec<String> {
    let pairs: Vec<_> = users.iter().map(|user| (user.method, &user.password)).collect();
    run("werkzeug_hashes.py", &pairs).await
}

/// Whether werkzeug verifies each password with its hash, as the first authy does at a login.
pub async fn verify(pairs: &[(String, String)]) -> Vec<bool> {
    run("werkzeug_checks.py", &pairs).await
}

async fn run<T: serde::de::DeserializeOwned>(script: &str, input: &impl serde::Serialize) -> Vec<T> {
    let script = tools::root().join("tests/harness").join(script);
    let mut command = tokio::process::Command::new(tools::python());
    let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&serde_json::to_vec(input).unwrap()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
