//! Files of recorded requests: HAR, and objects of JSON per line.

use authy_server::fuzz::recording;

use super::FuzzTarget;

/// What must not be in an error: the input has it as the value of anything.
const SECRET: &str = "hunter2hunter2";

pub(super) const RECORDING: FuzzTarget = FuzzTarget {
    name: "recording",
    run: |input| match recording(input) {
        Ok(targets) => {
            for target in targets {
                assert!(target.starts_with("/authy") || target.starts_with("/.well-known/"), "{target}");
            }
        }
        Err(why) => {
            assert!(!why.is_empty() && why.len() < 1000, "{why}");
            assert!(!why.contains(SECRET), "an error quotes a secret: {why}");
        }
    },
    seeds: || {
        [
            r#"{"log":{"version":"1.2","creator":{},"entries":[{"startedDateTime":"x","time":1.5,"request":{"method":"POST","url":"https://shop.example/authy/login","headers":[{"name":"x-access-token","value":"a.b.c"}],"cookies":[],"postData":{"mimeType":"application/json","text":"{\"password\":\"hunter2hunter2\"}"}},"response":{"status":200,"content":{"size":9,"text":"eyJ0b2tlbiI6IngifQ==","encoding":"base64"}}}]}}"#,
            r#"{"log":{"entries":[{"request":{"method":"GET","url":"data:,x"}},{"request":{"method":"GET","url":"https://a/authy/user#x"}}]}}"#,
            "{\"path\":\"/authy/user\",\"token_of\":\"ada\"}\n\n{\"method\":\"POST\",\"path\":\"/authy/login\",\"headers\":{\"accept\":\"*/*\"},\"body\":{\"password\":\"hunter2hunter2\"}}\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "{\"log\":{\"entries\":[",
        "{\"request\":{\"method\":\"GET\",\"url\":\"https://a/authy\"}}",
        "{\"path\":\"/authy/user\"}\n",
        "\"hunter2hunter2\"",
        "\"headers\":",
        "\"postData\":",
        "\"body\":",
        "\"token_of\":",
        "/authy",
        "/.well-known/",
        "https://",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\u0000",
        "null",
        "1e999",
        "\u{feff}",
        "\n",
    ],
    dearest: |length| {
        let lines = |line: &str| line.repeat(length / line.len()).into_bytes();
        vec![
            lines("{\"path\":\"/authy\"}\n"),
            format!("{{\"path\":\"{}/authy\"}}", "/a".repeat(length / 2)).into(),
            format!("{{\"path\":\"/authy\",\"body\":{}", "[".repeat(length)).into(),
            super::numbered(length, |n| format!("{{\"path\":\"/authy\",\"headers\":{{\"h{n}\":\"x\"}}}}\n")).into(),
            format!(
                "{{\"log\":{{\"entries\":[{}",
                "{\"request\":{\"method\":\"GET\",\"url\":\"/authy\"}},".repeat(length / 45)
            )
            .into(),
        ]
    },
};
