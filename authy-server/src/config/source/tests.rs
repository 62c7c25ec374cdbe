//! The order of the sources, and what is refused.

use std::io::Write as _;

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_flag_goes_before_the_environment_and_the_environment_before_the_file() {
    let file = file("audience = \"file\"\nissuer = \"file\"\nsigning_alg = \"ES256\"\nhash_threads = 3");
    let flags = [("audience".to_owned(), "flag".to_owned())].into();
    let environment = environment(&[("AUTHY_AUDIENCE", "environment"), ("AUTHY_ISSUER", "environment")]);
    let sources = Sources { flags, environment, file: Some(file.path().into()) };
    let (resolved, settings) = sources.settings().unwrap();
    assert_eq!(settings.audience, "flag");
    assert_eq!(settings.issuer.as_deref(), Some("environment"));
    assert_eq!((settings.signing_alg.as_str(), settings.hash_threads), ("ES256", Some(3)));
    assert!(format!("{resolved:?}").contains("flag    # a flag"), "{resolved:?}");
}

#[test]
fn all_errors_are_reported_at_once_and_by_name() {
    let file = file("lissten = \"127.0.0.1:1\"\nrequire_https = \"perhaps\"");
    let environment = environment(&[
        ("AUTHY_CONFIG", file.path().to_str().unwrap()),
        ("AUTHY_ACCES_TTL", "1m"),
        ("AUTHY_PASSWORD", "hunter2"),
        ("AUTHY_ARGON2", "cheap"),
        ("AUTHY_MASTER_KEY", "hunter2"),
        ("AUTHY_DATABASE_URL", "postgresql://db"),
        ("AUTHY_DATABASE_URL_FILE", "/nowhere"),
    ]);
    let problems = Sources { environment, ..Sources::default() }.settings().unwrap_err().to_string();
    for part in [
        "lissten is not a setting: did you mean listen?",
        "AUTHY_REQUIRE_HTTPS (from the file) must be true or false",
        "AUTHY_ACCES_TTL is not a setting: did you mean AUTHY_ACCESS_TTL?",
        "AUTHY_PASSWORD is not a setting, and names that begin with AUTHY_ are for settings: unset it, or rename it",
        "AUTHY_ARGON2 (from the environment)",
        "AUTHY_MASTER_KEY (from the environment)",
        "AUTHY_DATABASE_URL and AUTHY_DATABASE_URL_FILE: only one of them can be set",
    ] {
        assert!(problems.contains(part), "{part} is missing from:\n{problems}");
    }
    assert!(!problems.contains("hunter2"));
}

#[test]
fn a_setting_that_is_set_but_empty_is_a_mistake_wherever_it_comes_from() {
    for setting in TABLE {
        let refused = |sources: Sources| {
            let problems = sources.settings().unwrap_err().to_string();
            let expected = format!("{} (from ", setting.variable());
            assert!(problems.contains(&expected) && problems.contains("is set but empty"), "{problems}");
        };
        let variable = setting.variable();
        refused(Sources { environment: environment(&[(&variable, " ")]), ..Sources::default() });
        let config = file(&format!("{} = \"\"", setting.key));
        refused(Sources { file: Some(config.path().into()), ..Sources::default() });
        let empty = file("\n");
        if setting.is_secret {
            let variable = format!("{variable}_FILE");
            refused(Sources {
                environment: environment(&[(&variable, empty.path().to_str().unwrap())]),
                ..Sources::default()
            });
        } else {
            refused(Sources { flags: [(setting.key.to_owned(), String::new())].into(), ..Sources::default() });
        }
    }
}

#[test]
fn a_list_of_commas_is_a_mistake_in_every_setting_that_is_a_list() {
    for (variable, value) in [
        ("AUTHY_LISTEN", "127.0.0.1:80,"),
        ("AUTHY_ADMIN_LISTEN", ","),
        ("AUTHY_RESERVED_USERNAMES", ","),
        ("AUTHY_RESERVED_USERNAMES", "root, ,admin"),
        ("AUTHY_TRUSTED_PROXIES", ","),
        ("AUTHY_TRUSTED_PROXIES", "10.0.0.0/8,"),
        ("AUTHY_FOLLOWER_NETWORKS", ",10.0.0.0/8"),
        ("AUTHY_CORS_ORIGINS", ","),
        ("AUTHY_WEBHOOK_ACCEPT", "201,,409"),
        ("AUTHY_LOG", ","),
        ("AUTHY_LIMIT_DEFAULT", ","),
        ("AUTHY_MASTER_KEY", ","),
        ("AUTHY_WEBHOOK_SECRET", ","),
    ] {
        let sources = Sources { environment: environment(&[(variable, value)]), ..Sources::default() };
        let problems = sources.settings().map(drop).unwrap_err().to_string();
        assert!(problems.starts_with(variable) && problems.lines().count() == 1, "{value}: {problems}");
    }
    let config = file("trusted_proxies = [\"10.0.0.0/8\", \"\"]");
    let problems = Sources { file: Some(config.path().into()), ..Sources::default() }.settings().unwrap_err();
    assert!(problems.to_string().contains("AUTHY_TRUSTED_PROXIES (from the file) has an empty part"), "{problems}");
}

#[test]
fn an_empty_name_of_the_file_is_a_mistake_that_is_named() {
    for sources in [
        Sources { environment: environment(&[("AUTHY_CONFIG", " ")]), ..Sources::default() },
        Sources { file: Some(PathBuf::new()), ..Sources::default() },
    ] {
        let problems = sources.settings().map(drop).unwrap_err().to_string();
        assert_eq!(problems, "AUTHY_CONFIG is set but empty: name a file, or leave it out");
    }
}

#[test]
fn plain_text_to_another_machine_is_refused_unless_it_is_said() {
    let refusal = |variable: &str, url: &str| {
        let environment = environment(&[(variable, url)]);
        let problems = Sources { environment, ..Sources::default() }.settings().err()?.to_string();
        assert!(problems.contains(variable) && !problems.contains("hunter2"), "{problems}");
        Some(problems)
    };
    for (variable, url) in [
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@localhost/x"),
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@[::1],127.0.0.1/x?sslmode=prefer"),
        ("AUTHY_DATABASE_URL", "postgresql:///x?host=/run/postgresql"),
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?hostaddr=127.0.0.1"),
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?sslmode=require"),
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?connect_timeout=3&sslmode=verify-full"),
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x?sslmode=disable"),
        ("AUTHY_AMQP_URL", "amqp://u:hunter2@localhost"),
        ("AUTHY_AMQP_URL", "amqp://u:hunter2@[::1]:5672/%2f"),
        ("AUTHY_AMQP_URL", "amqps://u:hunter2@mq"),
        ("AUTHY_AMQP_URL", "amqp://u:hunter2@mq/%2f?heartbeat=3&tls=none"),
        ("AUTHY_SMTP_URL", "smtp://localhost"),
        ("AUTHY_SMTP_URL", "smtp://u:hunter2@127.0.0.1:25?tls=opportunistic"),
        ("AUTHY_SMTP_URL", "smtp://u:hunter2@mail?tls=required"),
        ("AUTHY_SMTP_URL", "smtps://u:hunter2@mail"),
        ("AUTHY_SMTP_URL", "smtp://mail?tls=none"),
        ("AUTHY_WEBHOOK_URL", "http://127.0.0.1:8000/x"),
        ("AUTHY_WEBHOOK_URL", "https://details/x"),
        ("AUTHY_WEBHOOK_URL", "http://details/x#tls=none"),
    ] {
        assert_eq!(refusal(variable, url), None, "{url}");
    }
    for (variable, url, ways_out) in [
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@db/x", ["sslmode=require", "sslmode=disable"]),
        (
            "AUTHY_DATABASE_URL",
            "postgresql://u:hunter2@db/x?sslmode=prefer",
            ["sslmode=verify-full", "sslmode=disable"],
        ),
        ("AUTHY_DATABASE_URL", "postgresql://u:hunter2@localhost,db/x", ["sslmode=require", "sslmode=disable"]),
        ("AUTHY_DATABASE_URL", "postgresql://localhost/x?hostaddr=10.0.0.1", ["sslmode=require", "sslmode=disable"]),
        ("AUTHY_AMQP_URL", "amqp://u:hunter2@mq", ["amqps://", "?tls=none"]),
        ("AUTHY_AMQP_URL", "amqp://10.0.0.1:5672/x", ["amqps://", "?tls=none"]),
        ("AUTHY_SMTP_URL", "smtp://mail", ["smtps://", "?tls=none"]),
        ("AUTHY_SMTP_URL", "smtp://u:hunter2@127.0.0.1.example", ["?tls=required", "?tls=none"]),
        ("AUTHY_SMTP_URL", "smtp://mail?tls=opportunistic", ["?tls=required", "?tls=none"]),
        ("AUTHY_WEBHOOK_URL", "http://details/x", ["https://", "#tls=none"]),
        ("AUTHY_WEBHOOK_URL", "http://10.0.0.1/x", ["https://", "#tls=none"]),
    ] {
        let said = refusal(variable, url).unwrap_or_else(|| panic!("{url} is accepted"));
        assert!(said.contains("to another machine without encryption"), "{url}: {said}");
        assert!(ways_out.iter().all(|way| said.contains(way)), "{url}: {said}");
    }
    // What the deployment uses.
    for (name, variable) in [("authy_database_url", "AUTHY_DATABASE_URL"), ("authy_amqp_url", "AUTHY_AMQP_URL")] {
        let made =
            include_str!("../../../../deploy/secrets").lines().find(|line| line.ends_with(&format!("| make {name}")));
        let url = made.unwrap().split('"').collect::<Vec<_>>().concat();
        let (head, tail) = (url.find("$(").unwrap(), url.find(')').unwrap());
        let url = format!("{}hunter2{}", &url[5..head], &url[tail + 1..url.find(" | ").unwrap()]);
        assert_eq!(refusal(variable, &url), None, "{url}");
    }
}

#[test]
fn a_secret_can_be_a_file_and_is_never_shown() {
    let key = authy_core::engine::MasterKeys::generate().unwrap().to_base64();
    let file = file(&format!("{}\n", *key));
    let environment = environment(&[("AUTHY_MASTER_KEY_FILE", file.path().to_str().unwrap())]);
    let (resolved, settings) = Sources { environment, ..Sources::default() }.settings().unwrap();
    assert_eq!(*settings.master_key.unwrap().to_base64(), *key);
    assert!(format!("{resolved:?}").contains("[secret]") && !format!("{resolved:?}").contains(key.as_str()));
}

#[test]
fn a_file_of_secrets_that_others_can_read_or_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let key = authy_core::engine::MasterKeys::generate().unwrap().to_base64();
    let (secret, config) = (file(&key), file(&format!("audience = \"shop\"\nmaster_key = \"{}\"", *key)));
    let plain = file("audience = \"shop\"");
    let problem = |variable: &str, file: &tempfile::NamedTempFile, mode: u32| {
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        let environment = environment(&[(variable, file.path().to_str().unwrap())]);
        Sources { environment, ..Sources::default() }.settings().err().map(|problems| problems.to_string())
    };
    for (variable, file, refused) in [
        ("AUTHY_MASTER_KEY_FILE", &secret, [0o644, 0o606, 0o620]),
        ("AUTHY_CONFIG", &config, [0o644, 0o606, 0o620]),
        ("AUTHY_CONFIG", &plain, [0o666, 0o646, 0o664]),
    ] {
        for mode in refused {
            let problem = problem(variable, file, mode).unwrap_or_else(|| panic!("{variable} {mode:o} is accepted"));
            assert!(problem.contains("by other users") && !problem.contains(key.as_str()), "{problem}");
        }
        assert_eq!(problem(variable, file, 0o600), None);
    }
    assert_eq!(problem("AUTHY_CONFIG", &plain, 0o644), None, "no secret is in it");
}

#[test]
fn an_error_in_the_file_is_reported_by_line_and_not_quoted() {
    let file = file("listen = \"127.0.0.1:1\"\nmaster_key = \"hunter2");
    let sources = Sources { file: Some(file.path().into()), ..Sources::default() };
    let problems = sources.settings().unwrap_err().to_string();
    assert!(problems.contains("line 2") && !problems.contains("hunter2"), "{problems}");
}
