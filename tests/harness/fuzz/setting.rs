//! The values of settings, and a file of them.

use authy_server::fuzz::{setting, settings, settings_file};

use super::FuzzTarget;

/// The first byte chooses the setting, the rest is its text.
pub(super) const SETTING: FuzzTarget = FuzzTarget {
    name: "setting",
    run: |input| {
        let Some((first, text)) = input.split_first() else { return };
        let all: Vec<_> = settings().collect();
        let (key, is_secret) = all[usize::from(*first) % all.len()];
        // They read the folder that their text names.
        if ["mail_templates", "ui_dir"].contains(&key) {
            return;
        }
        let text = String::from_utf8_lossy(text);
        if let Err(why) = setting(key, &text) {
            assert!(!why.is_empty() && why.len() < 1000, "{key}: {why}");
            // A short text, or a part of the example in the message, is no secret.
            let in_message = || setting(key, "\u{1}").is_err_and(|why| why.contains(&*text));
            let is_repeated = is_secret && text.len() >= 16 && why.contains(&*text);
            assert!(!is_repeated || in_message(), "{key} repeats a secret: {why}");
        }
    },
    seeds: || {
        let default = |key: &str| match key {
            "database_url" => "postgresql://user:password@db.example:5432,other.example/authy?sslmode=require",
            "master_key" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "amqp_url" => "amqps://user:password@mq.example/%2f?heartbeat=10",
            "smtp_url" => "smtps://user:password@mail.example?tls=required",
            "mail_from" => "Shop <no-reply@shop.example>",
            "webhook_secret" => "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "trusted_proxies" => "10.0.0.0/8,fd00::/8",
            "limit_default" => "500/minute,50/second",
            "log" => "info,authy_core[request{id}]=debug",
            key if key.ends_with("_url") || key == "cors_origins" => "https://shop.example",
            key if key.starts_with("limit") => "100/hour",
            _ => "15m",
        };
        let seed = |(number, (key, _)): (usize, (&str, bool))| [&[number as u8], default(key).as_bytes()].concat();
        // As a regular expression the value of this field takes half a minute to compile.
        let filter = "info,authy_core[span{field=v* smtps..................................:oh}]=debug";
        let log = settings().position(|(key, _)| key == "log").unwrap();
        settings().enumerate().map(seed).chain([[&[log as u8], filter.as_bytes()].concat()]).collect()
    },
    words: &[
        "postgresql://",
        "amqp://",
        "smtp://",
        "https://",
        "whsec_",
        "@",
        ":",
        "/",
        "?",
        "&",
        "=",
        ",",
        "%",
        "[",
        "]",
        "{",
        "}",
        "10.0.0.0/8",
        "::1",
        "15m",
        "1d ",
        "100/hour",
        "m=8,t=1,p=1",
        "info",
        "\"",
        "<a@b.example>",
        "{code}",
        "é",
        "\0",
        " ",
    ],
    dearest: |length| {
        let parts = [
            "a",
            "1",
            ",",
            "a,",
            "a=1&",
            "10.0.0.0/8,",
            "a=info,",
            "[a{b=c}]=info,",
            "1s ",
            "1/hour,",
            "{code}",
            "xn--a.",
            "host,",
            "%",
            "<",
            "\"",
            "é",
            "(",
            "AAAA,",
        ];
        let prefix = |key: &str| match key {
            "database_url" => "postgresql://a/",
            "amqp_url" => "amqp://a/",
            "smtp_url" => "smtp://a/",
            "webhook_secret" => "whsec_",
            key if key.ends_with("_url") || key == "cors_origins" => "https://a.example/",
            _ => "",
        };
        let of = |(number, (key, _)): (usize, (&'static str, bool))| {
            let texts =
                parts.into_iter().map(move |part| format!("{}{}", prefix(key), part.repeat(length / part.len())));
            texts.map(move |text| [&[number as u8], text.as_bytes()].concat())
        };
        // One of each type that is more than a word or a number.
        let has_parser = |key: &str| {
            ["access_ttl", "argon2", "limit_default", "listen", "log", "mail_from", "master_key", "webhook_secret"]
                .contains(&key)
                || ["cors_origins", "reserved_usernames", "trusted_proxies"].contains(&key)
                || key.ends_with("_url")
        };
        settings().enumerate().filter(|(_, (key, _))| has_parser(key)).flat_map(of).collect()
    },
};

pub(super) const SETTINGS_FILE: FuzzTarget = FuzzTarget {
    name: "settings_file",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        if let Err(why) = settings_file(&text) {
            assert!(!why.is_empty());
        }
    },
    seeds: || {
        [
            "listen = \"127.0.0.1:1\"\nhash_threads = 3\nrequire_https = true\n",
            "trusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\"] # ours\n",
            "audience = '''\nshop'''\nlissten = 1\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "listen",
        "audience",
        "=",
        "\n",
        "\"",
        "'''",
        "\"\"\"",
        "[",
        "]",
        "[[a]]\n",
        "{",
        "}",
        ",",
        ".",
        "#",
        "1",
        "-inf",
        "1979-05-27",
        "\\u0000",
        "a.b.c = 1\n",
        "a = 1\n",
    ],
    dearest: |length| {
        vec![
            super::numbered(length, |n| format!("n{n} = 1\n")).into(),
            super::numbered(length, |n| format!("[t{n}]\n")).into(),
            super::numbered(length, |n| format!("a.b{n} = 1\n")).into(),
            "a.".repeat(length / 2).into(),
            format!("audience = [{}", "[".repeat(length)).into(),
            format!("audience = [{}]", "1,".repeat(length / 2)).into(),
        ]
    },
};
