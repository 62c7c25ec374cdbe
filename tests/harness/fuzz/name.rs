//! The names that people choose: usernames, addresses, roles and their descriptions.

use authy_core::{Description, Email, Level, RoleName, Username};

use super::FuzzTarget;

pub(super) const NAME: FuzzTarget = FuzzTarget {
    name: "name",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        if let Ok(name) = text.parse::<Username>() {
            assert!((3..=50).contains(&name.as_str().chars().count()));
            assert_eq!(name.as_str().parse::<Username>().as_ref(), Ok(&name), "its own spelling is another name");
            if let Ok(key) = name.key().parse::<Username>() {
                assert_eq!(key.key(), name.key(), "the key of the key is another");
            }
        }
        if let Ok(name) = text.parse::<RoleName>() {
            assert_eq!(name.as_str().parse::<RoleName>().as_ref(), Ok(&name));
            assert!(!name.as_str().split(' ').any(str::is_empty), "a space at an end, or two: {name:?}");
        }
        if let Ok(email) = text.parse::<Email>() {
            assert_eq!(email.as_str().parse::<Email>().as_ref(), Ok(&email));
            assert!(email.key().contains('@') && !email.as_str().contains(['\r', '\n', '\0']), "{email}");
            if let Ok(key) = email.key().parse::<Email>() {
                assert_eq!(key.key(), email.key(), "the key of the key is another");
            }
        }
        if let Ok(description) = text.parse::<Description>() {
            assert!(!description.as_str().chars().any(char::is_control));
        }
        if let Ok(level) = text.parse::<Level>() {
            assert!((0..=Level::MAX.cast_signed()).contains(&level.get()));
        }
    },
    seeds: || {
        [
            "ada.lovelace-1815_",
            "Ольга",
            "देवनागरी",
            "e\u{301}mile",
            "ﬁona",
            "Σίσυφος",
            "ada@bücher.example",
            "\"a,b\"@example.org",
            "Ada.Lovelace+shop@xn--bcher-kva.example",
            "shop keeper",
            "99999",
            "a@b.c\u{200d}d",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "@",
        ".",
        "-",
        "_",
        " ",
        "\"",
        "(",
        ")",
        "<",
        ">",
        "\\",
        "xn--",
        "example.org",
        "[127.0.0.1]",
        "a",
        "A",
        "ß",
        "İ",
        "ﷺ",
        "\u{301}",
        "\u{316}",
        "\u{200d}",
        "\u{202e}",
        "\u{fe0f}",
        "Ａ",
        "а",
        "一",
        "0",
        "\0",
        "\r\n",
    ],
    dearest: |length| {
        vec![
            "\u{301}\u{316}".repeat(length / 4).into(),
            format!("{}@example.org", "a.".repeat(length / 2)).into(),
            format!("a@{}", "a.".repeat(length / 2)).into(),
            format!("a@{}", "xn--a.".repeat(length / 6)).into(),
        ]
    },
};
