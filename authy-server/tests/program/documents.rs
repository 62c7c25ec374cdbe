//! The shell commands of README.md and of every page in docs/, run as a reader runs them.
//!
//! The commands of a page continue those of the README, in one shell and against a server that was started in an empty
//! folder. A comment `# 403 insufficient_level` behind a command says that it is refused; every other command succeeds.

use std::fmt::Write as _;

use super::*;

/// Maximum time of the commands of one page: each takes milliseconds, and a mail that one waits for a second.
const PAGE_TIMEOUT: &str = "120";

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The shell commands of a page, of all its blocks.
fn commands(name: &str) -> String {
    let page = fs::read_to_string(root().join(name)).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.fold(String::new(), |mut script, block| {
        writeln!(script, "{block}").unwrap();
        script
    })
}

/// The codes of the refusals that comments announce, in their order.
fn announced(script: &str) -> Vec<&str> {
    let comments = script.split("# ").skip(1).map(|rest| rest.split_whitespace());
    let refused = comments.filter_map(|mut words| {
        let is_status = words.next()?.parse::<u16>().is_ok_and(|status| (400..600).contains(&status));
        words.next().filter(|_| is_status)
    });
    refused.collect()
}

/// The codes of the refusals in an output, in their order.
fn refused(output: &str) -> Vec<&str> {
    let problems = output.split("urn:authy:problem:").skip(1);
    problems.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Runs commands beside a server of their own, and returns what they print.
fn run_commands(script: &str) -> String {
    let folder = folder();
    let server = ServerProgram::start(folder.path());
    let programs = Path::new(env!("CARGO_BIN_EXE_authy-server")).parent().unwrap().to_owned();
    let path =
        std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let mut command = Command::new("timeout");
    command.args([PAGE_TIMEOUT, "bash", "-euo", "pipefail", "-c", script]).current_dir(folder.path());
    // The program's own variables would change what the commands do.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AUTHY_")) {
        if name != "AUTHY_PG_BIN" {
            command.env_remove(name);
        }
    }
    command.env("PATH", path.unwrap()).env("AUTHY", server.url()).env("ADMIN_PASSWORD", server.password().unwrap());
    let output = command.env("AUTHY_ARGON2", "m=8,t=1,p=1").stdin(Stdio::null()).output().unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}: {printed}{}\nof {script}", output.status, text(&output.stderr));
    printed
}

/// Runs the commands of a page behind those of the README.
fn follow(name: &str) -> String {
    let mut script = commands("README.md");
    if name != "README.md" {
        script += &commands(name);
    }
    let printed = run_commands(&script);
    assert_eq!(refused(&printed), announced(&script), "{name} announces other refusals than there are: {printed}");
    printed
}

/// Checks that parts are printed, in this order.
fn prints(printed: &str, parts: &[&str]) {
    let mut rest = printed;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} is missing from\n{rest}\nof\n{printed}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn the_walk_of_the_readme_and_of_accounts_works() {
    prints(
        &follow("docs/accounts.md"),
        &[
            "\"public_id\"",
            "\"username\":\"ada\"",
            "\"level\":10",
            "insufficient_level",
            "\"name\":\"auctioneer\"",
            "has the role auctioneer now",
            "invalid_token",
            "\"level\":7",
            "\"roles\":[\"auctioneer\",\"user\"],\"level\":7",
            "\"total_records\":1",
            "no longer has the role auctioneer",
            "\"token\"",
            "\"username\":\"bob\"",
            "\"roles\":[\"auctioneer\"]",
            "\"validated\":true",
            "already_registered",
        ],
    );
}

#[test]
fn the_commands_of_every_page_work() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_str().unwrap())).filter(|name| name.ends_with(".md"));
    let with_commands: Vec<_> =
        docs.chain(["README.md".to_owned()]).filter(|name| !commands(name).is_empty()).collect();
    assert!(with_commands.len() > 4, "{with_commands:?}");
    // Those of docs/accounts.md are run by the test above.
    for name in with_commands.iter().filter(|name| *name != "docs/accounts.md") {
        follow(name);
    }
}
