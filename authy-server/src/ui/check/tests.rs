use std::{collections::BTreeSet, fs};

use authy_core::{ErrorKind, api::event::EventKind, error::chain};

use super::*;
use crate::ui::{
    Sites,
    looks::{STYLESHEET, TEMPLATES, TEXTS},
    texts::{Texts, placeholders},
};

fn skin(looks: Looks) -> Skin {
    Skin::new(&Pages { looks, ..Pages::new("https://auth.example/sub").unwrap() })
}

#[test]
fn every_built_in_page_is_rendered_in_every_language() {
    let looks = Looks::built_in();
    assert_eq!(looks.parts().languages().len(), TEXTS.len());
    skin(looks).check().unwrap_or_else(|error| panic!("{error:?}"));
}

#[test]
fn every_language_has_the_same_texts_with_the_same_values() {
    let parsed = |source| Texts::parse(source).unwrap();
    let (_, english) = TEXTS[0];
    let english = parsed(english);
    for (file, source) in TEXTS {
        let texts = parsed(source);
        let (own, expected): (BTreeSet<_>, BTreeSet<_>) = (texts.keys().collect(), english.keys().collect());
        let missing: Vec<_> = expected.symmetric_difference(&own).collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
        for key in own {
            let (own, expected) = (texts.get(key), english.get(key));
            let names = |text| placeholders(text).collect::<BTreeSet<_>>();
            assert_eq!(names(&own), names(&expected), "{file}: {key}");
        }
    }
}

/// Returns the source code of the pages.
fn code() -> String {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui")];
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("tests.rs") => {}
                false => code.push_str(&fs::read_to_string(path).unwrap()),
            }
        }
    }
    code
}

#[test]
fn every_text_is_used_and_every_notice_has_one() {
    let sources: String = TEMPLATES.iter().map(|(_, source)| *source).collect();
    let code = code();
    // Keys that are put together.
    let is_derived = |key: &str| {
        [
            "ask.",
            "error.",
            "event.",
            "events.wrong_",
            "field.",
            "keys.",
            "notice.",
            "overview.",
            "sinks.",
            "strength.score_",
            "time.",
            "user.webhook_",
            "wrong.",
        ]
        .iter()
        .any(|part| key.starts_with(part))
    };
    let looks = Looks::built_in().parts();
    for key in looks.texts("en").unwrap().keys() {
        let quoted = format!("\"{key}\"");
        assert!(is_derived(key) || sources.contains(&quoted) || code.contains(&quoted), "{key} is not used");
    }
    let notices = code.split("notice=").skip(1).filter_map(|rest| rest.split(['"', '{']).next());
    let notices: Vec<_> = notices.filter(|notice| !notice.is_empty()).collect();
    assert!(notices.len() > 5, "{notices:?}");
    for notice in notices {
        assert!(looks.texts("en").unwrap().find(&format!("notice.{notice}")).is_some(), "{notice}");
    }
}

#[test]
fn every_error_that_a_page_can_show_has_its_own_text() {
    use ErrorKind::*;
    // What is wrong with a form is said at its fields, and who has lost the session is led to the login.
    let otherwise =
        [InvalidInput, PasswordsDiffer, WeakPassword, InvalidToken, TokenRequired, NotFound, MethodNotAllowed];
    // Of the API alone.
    let never = [MalformedJson, ConflictingTokens, PageTooFar, InvalidRefreshToken, ReauthenticationRequired];
    // Only the log says why.
    let secret = [Internal];
    let looks = Looks::built_in().parts();
    let texts = looks.texts("en").unwrap();
    for kind in ErrorKind::ALL {
        let is_known = texts.find(&format!("error.{kind}")).is_some();
        let needs_none = [&otherwise[..], &never, &secret].concat().contains(kind);
        assert_ne!(is_known, needs_none, "{kind}");
    }
    let known = |key: &str| {
        let kind = key.strip_prefix("error.").unwrap();
        ["wrong_password", "no_cookies", "other"].contains(&kind) || ErrorKind::from_code(kind).is_some()
    };
    let unknown: Vec<_> = texts.keys().filter(|key| key.starts_with("error.") && !known(key)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_sentences_of_the_engine_are_translated() {
    let looks = Looks::built_in().parts();
    let german = looks.texts("de").unwrap();
    for password in
        ["password", "aaaaaaaa", "abcdefgh", "qwertyuiop", "1984", "2019-06-11", "drowssap", "p4ssw0rd", "ROBERT"]
    {
        let estimate = zxcvbn::zxcvbn(password, &[]);
        let feedback = estimate.feedback().unwrap();
        let said = feedback.suggestions().iter().map(ToString::to_string);
        for sentence in said.chain(feedback.warning().map(|warning| warning.to_string())) {
            assert!(german.find(&format!("sentence.{sentence}")).is_some(), "{sentence}");
        }
    }
    for (name, address) in
        [("a", "b"), ("a b c", "ada@x"), ("\u{301}abc", "\"a\"@example.org"), ("ad\u{430}m", "a b@example.org")]
    {
        let name = name.parse::<authy_core::Username>().unwrap_err().message();
        let address = address.parse::<authy_core::Email>().unwrap_err().message();
        for sentence in [name, address] {
            assert!(german.find(&format!("sentence.{sentence}")).is_some(), "{sentence}");
        }
    }
    for (name, description, level) in [("a", "b", "-1"), ("a  b", "b", "100000"), ("a\u{301}|b", "b", "x")] {
        let name = name.parse::<authy_core::RoleName>().unwrap_err().message();
        let description = description.parse::<authy_core::Description>().unwrap_err().message();
        let level = level.parse::<authy_core::Level>().unwrap_err().message();
        for sentence in [name, description, level] {
            assert!(german.find(&format!("sentence.{sentence}")).is_some(), "{sentence}");
        }
    }
}

#[test]
fn every_kind_of_event_has_a_text() {
    for kind in EventKind::ALL {
        assert!(Looks::built_in().parts().texts("en").unwrap().find(&format!("event.{kind}")).is_some(), "{kind}");
    }
}

#[test]
fn a_file_replaces_what_is_built_in_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    write("message.html", "<p>{{ view.title }} {{ t(\"login.title\") }} {{ service }}");
    write("de.toml", "[login]\ntitle = 'Hinein'");
    write("fr.toml", "[language]\nname = 'Français'\n[login]\ntitle = 'Entrer'");
    write("app.css", "body { margin: 0 }");
    fs::write(folder.path().join("logo.png"), b"\x89PNG\r\n\x1a\nthe rest").unwrap();
    write("README.md", "What these are.");
    let looks = Looks::load(Some(folder.path())).unwrap();
    let skin = skin(looks.clone());
    let names: Vec<_> = skin.languages.iter().map(|language| (&*language.code, &*language.name)).collect();
    assert_eq!(names, [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]);
    let parts = looks.parts();
    let texts = |code| parts.texts(code).unwrap();
    assert_eq!((texts("de").get("login.title"), texts("fr").get("login.title")), ("Hinein".into(), "Entrer".into()));
    assert_eq!(
        (texts("de").get("login.new"), texts("fr").get("login.new")),
        ("Noch kein Konto?".into(), "No account yet?".into())
    );
    assert!(skin.assets.iter().any(|asset| asset.path().ends_with("/logo.png")));
}

#[test]
fn an_error_in_a_file_names_it_and_the_line() {
    for (name, source, expected) in [
        ("login.html", "a\n{% if view %}", "line 2"),
        ("login.html", "a\n\n{{ view.passwort }}", "line 3"),
        ("login.html", "{{ t('login.titel') }}", "login.titel"),
        ("parts.html", "{% macro notice(text) %}{{ text | rot13 }}{% endmacro %}", "rot13"),
        ("logn.html", "", "replaces nothing"),
        ("deutsch.toml", "", "replaces nothing"),
        ("de.toml", "[login]\ntitel = 'x'", "login.titel (line 2)"),
        ("de.toml", "[login]\ntitle = 'x'\n[event]\n\n'user.delted' = 'x'", "event.user.delted (line 5)"),
        ("en.toml", "[delete]\n\nsubmit = 'Delete {usrname}'", "{usrname} in the text delete.submit (line 3)"),
        ("fr.toml", "[login]\ntitle = 'Entrer'", "lacks the text language.name"),
        ("logo.png", "<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG"),
        ("logo.svg", "\u{89}PNG", "no SVG"),
        ("logo.svg", "<html></html>", "no SVG"),
        ("de.toml", "[login]\ntitle = ", "line 2"),
        ("app.css", "\u{feff}", "without BOM"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), source).unwrap();
        let error = chain(&Looks::load(Some(folder.path())).unwrap_err());
        assert!(error.contains(name) && error.contains(expected), "{source}: {error}");
    }
    let nowhere = chain(&Looks::load(Some(Path::new("/nowhere/at/all"))).unwrap_err());
    assert!(nowhere.contains("cannot be read"), "{nowhere}");
}

#[test]
fn looks_are_read_again_for_all_clones_and_wrong_files_leave_them_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    write("message.html", "first");
    let looks = Looks::load(Some(folder.path())).unwrap();
    let sites = Sites::new(&Pages { looks: looks.clone(), ..Pages::new("https://auth.example").unwrap() });
    let shown = || {
        let site = sites.current();
        let language = site.skin.languages.first().unwrap();
        language.try_render("message.html", minijinja::Value::UNDEFINED, minijinja::Value::UNDEFINED).unwrap()
    };
    let first = sites.current();
    assert!(Arc::ptr_eq(&first, &sites.current()), "nothing is made again while nothing has changed");
    write("message.html", "second");
    assert_eq!(shown(), "first");
    looks.reload().unwrap();
    assert_eq!(shown(), "second");
    write("message.html", "a\n{{ view.nothing }}");
    let error = chain(&looks.reload().unwrap_err());
    assert!(error.contains("message.html") && error.contains("line 2"), "{error}");
    assert_eq!(shown(), "second");
    assert_eq!(Looks::built_in().folder(), None);
    assert_eq!(looks.folder(), Some(folder.path()));
}

#[test]
fn the_stylesheet_is_small_and_loads_nothing() {
    assert!(STYLESHEET.len() < 20_000, "{}", STYLESHEET.len());
    for part in ["url(", "@import", "http"] {
        assert!(!STYLESHEET.contains(part), "{part}");
    }
}

#[test]
fn the_pages_have_nothing_inline_and_load_nothing_from_elsewhere() {
    for (name, source) in TEMPLATES {
        // The API reference is the only page with a script, which is a file.
        assert!(!source.contains("<script>") && (*name == "docs.html" || !source.contains("<script")), "{name}");
        for part in ["<style", "style=", "onclick", "onsubmit", "javascript:", "http:", "https:"] {
            assert!(!source.contains(part), "{name}: {part}");
        }
    }
}
