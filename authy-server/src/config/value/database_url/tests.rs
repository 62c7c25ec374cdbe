use std::{io::Write as _, time::Duration};

use proptest::prelude::*;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::*;

fn refusal(text: &str) -> String {
    match DatabaseUrl::read(text) {
        Ok(_) => panic!("{text} is accepted"),
        Err(why) => {
            assert!(!why.contains("hunter2"), "{text}: {why}");
            why
        }
    }
}

#[test]
fn what_is_no_url_of_a_database_is_refused_and_its_password_not_repeated() {
    for text in ["", "db", "mysql://db", "postgresql://"] {
        assert!(DatabaseUrl::read(text).is_err(), "{text}");
    }
    for secret in ["mysql://user:hunter2@db", "postgresql://user:hunter2@db:port/x"] {
        refusal(secret);
    }
}

#[test]
fn the_parameters_of_libpq_are_understood() {
    let url = "postgresql://u:p@a:1,b:2/x?sslmode=verify-full&target_session_attrs=primary&application_name=shop%20auth\
               &options=-c%20statement_timeout%3D5s&connect_timeout=3&keepalives=1&keepalives_idle=9\
               &keepalives_interval=8&keepalives_count=7&tcp_user_timeout=1500&channel_binding=require\
               &load_balance_hosts=random&client_encoding=UTF8&gssencmode=disable&fallback_application_name=other";
    let DatabaseUrl { config, roots } = DatabaseUrl::read(url).unwrap();
    assert!(roots.is_none());
    assert_eq!(config.get_ssl_mode(), SslMode::Require);
    assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    assert_eq!(config.get_application_name(), Some("shop auth"));
    assert_eq!(config.get_options(), Some("-c statement_timeout=5s"));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    assert_eq!(config.get_keepalives_idle(), Duration::from_secs(9));
    assert_eq!(
        (config.get_keepalives_interval(), config.get_keepalives_retries()),
        (Some(Duration::from_secs(8)), Some(7))
    );
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!((config.get_ports(), config.get_dbname()), (&[1, 2][..], Some("x")));
    for (mode, expected) in [
        ("disable", SslMode::Disable),
        ("allow", SslMode::Prefer),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::Require),
        ("verify-full", SslMode::Require),
    ] {
        let url = DatabaseUrl::read(&format!("postgresql://localhost/x?sslmode={mode}")).unwrap();
        assert_eq!(url.config.get_ssl_mode(), expected, "{mode}");
    }
    let socket = DatabaseUrl::read("postgresql:///x?host=/run/postgresql&port=6432&user=authy&password=p").unwrap();
    assert_eq!(socket.config.get_hosts(), [Host::Unix("/run/postgresql".into())]);
    assert_eq!((socket.config.get_ports(), socket.config.get_user()), (&[6432][..], Some("authy")));
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    for (query, expected) in [
        ("sslmode=verify_full", "sslmode other than disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslmode=", "sslmode"),
        ("sslcert=/x", "sslcert: client certificates are not supported"),
        ("sslnegotiation=direct", "sslnegotiation other than postgres"),
        ("channel_binding=always", "channel_binding other than"),
        ("target_session_attrs=standby", "target_session_attrs that selects a standby"),
        ("target_session_attrs=prefer-standby", "selects a standby"),
        ("target_session_attrs=read-only", "selects a standby"),
        ("target_session_attrs=leader", "target_session_attrs other than"),
        ("connect_timeout=3s", "connect_timeout that is not a number of seconds"),
        ("keepalives=on", "keepalives"),
        ("client_encoding=LATIN1", "client_encoding"),
        ("gssencmode=require", "gssencmode"),
        ("passfile=/x", "passfile"),
        ("service=x", "service"),
        ("hostaddr=db", "hostaddr"),
        ("port=x", "port"),
        ("port=6432,6433", "one port"),
        ("hostaddr=127.0.0.1,127.0.0.2", "hostaddr"),
        ("sslmod=require", "did you mean sslmode?"),
        ("hunter2=x", "the known ones are application_name"),
        ("hunter2", "percent-encoded"),
        ("sslrootcert=/nowhere/ca.pem", "sslrootcert that cannot be used"),
        ("sslmode=disable&sslrootcert=system", "sslrootcert and an sslmode that verifies no certificate"),
        ("channel_binding=require", "channel_binding=require, which needs an encrypted connection"),
    ] {
        let why = refusal(&format!("postgresql://u:hunter2@localhost/x?{query}"));
        assert!(why.contains(expected), "{query}: {why}");
    }
}

#[test]
fn the_url_of_a_replica_selects_a_standby() {
    for target in ["any", "standby", "prefer-standby", "read-only"] {
        let url =
            ReplicaUrl::read(&format!("postgresql://localhost,127.0.0.1/x?target_session_attrs={target}")).unwrap();
        // The engine asks each server.
        assert_eq!(url.0.config.get_target_session_attrs(), TargetSessionAttrs::Any, "{target}");
    }
    for (target, expected) in [
        ("primary", "selects the primary, and a replica is a standby: use standby"),
        ("read-write", "selects the primary"),
        ("leader", "target_session_attrs other than any, standby, prefer-standby or read-only"),
    ] {
        let why = ReplicaUrl::read(&format!("postgresql://localhost/x?target_session_attrs={target}")).unwrap_err();
        assert!(why.contains(expected), "{target}: {why}");
    }
}

#[test]
fn what_is_special_in_a_password_never_becomes_the_name_of_a_host() {
    for (url, password, host) in [
        ("postgresql://u:p%40ss@db/x?sslmode=require", "p@ss", "db"),
        ("postgresql://u:p?ss@db/x?sslmode=require", "p?ss", "db"),
        ("postgresql://u:p/ss@db/x?sslmode=require", "p/ss", "db"),
        ("postgresql://u:pässword@db/x?sslmode=require&application_name=a@b", "pässword", "db"),
    ] {
        let config = DatabaseUrl::read(url).unwrap().config;
        assert_eq!(config.get_password(), Some(password.as_bytes()), "{url}");
        assert_eq!(config.get_hosts(), [Host::Tcp(host.to_owned())]);
    }
    let config = DatabaseUrl::read("postgresql://localhost/x?application_name=a@b").unwrap().config;
    assert_eq!((config.get_application_name(), config.get_user()), (Some("a@b"), None));
    for url in ["postgresql://u:p@hunter2@db/x?sslmode=require", "postgresql://u:p@hunter2@localhost/x"] {
        assert!(refusal(url).contains("@ as %40"));
    }
}

#[test]
fn the_authorities_of_a_root_certificate_replace_all_others_and_it_turns_verification_on() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // Any certificate: the first that this machine trusts.
    let trusted = Roots::platform().certificates().unwrap().swap_remove(0);
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &trusted);
    write!(file, "-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n").unwrap();
    let path = file.path().display();
    let url = DatabaseUrl::read(&format!("postgresql://db/x?sslrootcert={path}")).unwrap();
    assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
    assert_eq!(url.roots.unwrap().certificates().unwrap(), [trusted]);
    let system = DatabaseUrl::read("postgresql://db/x?sslrootcert=system").unwrap();
    assert_eq!(system.config.get_ssl_mode(), SslMode::Require);
    assert!(system.roots.unwrap().certificates().unwrap().len() > 1);
}

proptest! {
    #[test]
    fn no_url_panics_or_repeats_a_password(
        text: String,
        rest in "[ -~]{0,40}",
        parameters in "([a-z_]{1,20}=[a-z0-9,/-]{0,10}&){0,4}",
    ) {
        let _ = DatabaseUrl::read(&text);
        let _ = DatabaseUrl::read(&format!("postgresql://{text}"));
        let _ = DatabaseUrl::read(&format!("postgresql://{rest}"));
        for url in [format!("postgresql://u:hunter2@{rest}"), format!("postgresql://u:hunter2@localhost/x?{parameters}")] {
            if let Err(why) = DatabaseUrl::read(&url) {
                prop_assert!(!why.contains("hunter2"), "{}: {}", url, why);
            }
        }
    }
}
