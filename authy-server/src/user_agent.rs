//! Describes a user agent in fixed words: a user agent may be any text, and mail programs turn text that looks like an
//! address into a link.

/// Parts of user agents, and the program they belong to. The first match counts: most browsers also name older ones.
const PROGRAMS: [(&str, &str); 16] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("FxiOS/", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
    ("okhttp", "an app"),
    ("authy-client/", "authy-client"),
];

const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
];

/// Returns the program and the system of a user agent, as far as they are known.
pub(crate) fn program_and_system(user_agent: &str) -> (Option<&'static str>, Option<&'static str>) {
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
    };
    (find(&PROGRAMS), find(&SYSTEMS))
}

/// Returns the program and the system of a user agent in words; `None` when neither is known.
#[cfg(feature = "mail")]
pub(crate) fn describe(user_agent: &str) -> Option<String> {
    match program_and_system(user_agent) {
        (Some(program), Some(system)) => Some(format!("{program} on {system}")),
        (known, other) => known.or(other).map(str::to_owned),
    }
}

#[cfg(all(test, feature = "mail"))]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_described_by_program_and_system() {
        for (sent, shown) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("Opera", "Opera"),
        ] {
            assert_eq!(describe(sent).as_deref(), Some(shown), "{sent}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        for sent in ["", "www.evil-prize.example", "Your account is locked: call +1 900 555 0100"] {
            assert_eq!(describe(sent), None, "{sent}");
        }
        assert_eq!(describe("Firefox www.evil-prize.example").as_deref(), Some("Firefox"));
    }
}
