use super::*;
use crate::config::TABLE;

#[test]
fn the_command_line_is_sound() {
    command().debug_assert();
}

#[test]
fn a_setting_can_stand_before_or_behind_the_command() {
    for line in [
        ["authy-server", "--audience", "shop", "config"],
        ["authy-server", "config", "--audience", "shop"],
        ["authy-server", "--audience", "shop", "doctor"],
        ["authy-server", "doctor", "--audience", "shop"],
    ] {
        let matches = command().try_get_matches_from(line).unwrap();
        assert_eq!(flags::sources(&matches).settings().unwrap().1.audience, "shop", "{line:?}");
    }
    for line in [
        ["authy-server", "--audience", "shop", "config", "check", "--require-https", "true"],
        ["authy-server", "config", "--audience", "shop", "check", "--require-https", "true"],
    ] {
        let settings = flags::sources(&command().try_get_matches_from(line).unwrap()).settings().unwrap().1;
        assert_eq!((settings.audience.as_str(), settings.require_https), ("shop", true), "{line:?}");
    }
}

#[test]
fn only_the_help_of_config_shows_the_settings() {
    let help = |line: &[&str]| command().try_get_matches_from(line).unwrap_err().to_string();
    for line in [
        &["authy-server", "--help"][..],
        &["authy-server", "-h"],
        &["authy-server", "user", "create", "--help"],
        &["authy-server", "serve", "--help"],
        &["authy-server", "config", "check", "--help"],
    ] {
        let help = help(line);
        assert!(!help.contains("AUTHY_AUDIENCE") && help.lines().count() < 45, "{line:?}: {help}");
    }
    assert!(help(&["authy-server", "--help"]).contains("authy-server config --help"));
    let help = help(&["authy-server", "config", "--help"]);
    for setting in TABLE {
        assert_eq!(help.contains(&format!("env: {}]", setting.variable())), !setting.is_secret, "{}", setting.key);
    }
}

#[test]
fn every_command_has_its_manual_page_and_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let matches = command().try_get_matches_from(["authy-server", "man", "--folder", path]).unwrap();
    run(&matches).unwrap();
    for page in ["authy-server.1", "authy-server-user-create.1", "authy-server-session-end.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    for name in ["bash", "zsh", "fish"] {
        let matches = command().try_get_matches_from(["authy-server", "completions", name]).unwrap();
        let script = shell::completions(matches.subcommand().unwrap().1, command()).unwrap();
        assert!(script.contains("authy-server") && script.contains("set-password"), "{name}");
    }
    assert!(command().try_get_matches_from(["authy-server", "completions", "tcsh"]).is_err());
}

#[test]
fn a_key_id_that_begins_with_a_hyphen_is_no_flag() {
    // The ids of keys are the only arguments in base64url: sessions, users and events are UUIDs, and the positions of lists begin
    // with their version.
    for kid in ["-Ab3", "-hV_q-8sd", "--AbC", "-json"] {
        let matches = command().try_get_matches_from(["authy-server", "key", "revoke", kid]).unwrap();
        assert_eq!(innermost(&matches).get_one::<String>("kid").map(String::as_str), Some(kid));
    }
    assert!(command().try_get_matches_from(["authy-server", "key", "revoke"]).is_err());
}

#[test]
fn every_command_that_shows_something_has_json() {
    // A link, documents of their own formats, and what is only done.
    const WITHOUT: [&str; 21] = [
        "serve",
        "openapi",
        "completions",
        "man",
        "user wrap-passwords",
        "user grant",
        "user revoke",
        "user logout",
        "user set-password",
        "user unlock",
        "user delete",
        "user restore",
        "user erase",
        "user reset-link",
        "role create",
        "role delete",
        "key revoke",
        "issuer set",
        "event retry",
        "event skip",
        "event dismiss",
    ];
    fn commands(command: &Command, path: &str, found: &mut Vec<(String, bool)>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let path = format!("{path} {}", inner.get_name()).trim().to_owned();
            let has_json = inner.get_arguments().any(|argument| argument.get_id() == "json");
            match inner.has_subcommands() && !has_json {
                true => commands(inner, &path, found),
                false => found.push((path, has_json)),
            }
        }
    }
    let mut found = Vec::new();
    commands(&command(), "", &mut found);
    assert!(found.len() > 40, "{found:?}");
    for (path, has_json) in found {
        assert_eq!(has_json, !WITHOUT.contains(&path.as_str()), "{path}");
    }
}

/// The first cells of the table with this head, in docs/command-line.md.
fn first_cells(head: &str) -> Vec<String> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command-line.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().trim().replace('`', "")).collect()
}

#[test]
fn the_page_on_the_command_line_has_every_command_and_no_other() {
    fn commands(command: &Command, path: &str, found: &mut Vec<String>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let path = format!("{path} {}", inner.get_name()).trim().to_owned();
            commands(inner, &path, found);
            if !inner.is_subcommand_required_set() {
                found.push(path);
            }
        }
    }
    let (mut expected, mut listed) = (Vec::new(), Vec::new());
    commands(&command(), "", &mut expected);
    for cell in first_cells("| command | does |") {
        // The noun stands once in a cell: `role create`, `list`.
        let mut noun = "";
        for name in cell.split(", ") {
            listed.push(match name.split_once(' ') {
                Some((first, _)) => {
                    noun = first;
                    name.to_owned()
                }
                None => format!("{noun} {name}").trim().to_owned(),
            });
        }
    }
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
}

#[test]
fn the_page_on_the_command_line_has_every_area_of_doctor_once() {
    let mut areas = first_cells("| area | what is checked |");
    let all = areas.len();
    areas.sort();
    areas.dedup();
    assert!(all > 10 && areas.len() == all, "{areas:?}");
}

#[test]
fn a_user_is_named_in_one_way() {
    let id = "5e8f2a52-3b7c-4c1e-9a50-7d3c1b0f9e24";
    for line in [
        &["authy-server", "user", "show", "ada"][..],
        &["authy-server", "user", "show", id],
        &["authy-server", "user", "show", "--username", "ada"],
        &["authy-server", "user", "erase", "--public-id", id],
        &["authy-server", "session", "list", "ada"],
        &["authy-server", "session", "end", "--user", "ada"],
        &["authy-server", "session", "end", id],
    ] {
        assert!(command().try_get_matches_from(line).is_ok(), "{line:?}");
    }
    for line in [
        &["authy-server", "user", "show"][..],
        &["authy-server", "user", "show", "ada", "--username", "ada"],
        &["authy-server", "user", "show", "--username", "ada", "--public-id", id],
        &["authy-server", "session", "end"],
        &["authy-server", "session", "end", id, "--user", "ada"],
        &["authy-server", "session", "end", "ada"],
    ] {
        assert!(command().try_get_matches_from(line).is_err(), "{line:?}");
    }
}
