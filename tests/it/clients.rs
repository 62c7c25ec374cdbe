//! Clients that the generators of others make of the OpenAPI document, used against the server that published it.

use std::{path::Path, process::Stdio};

use authy_tests::{PASSWORD, TestApp, fresh_name, tools};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Runs a program in a folder. Returns its output.
async fn run(folder: &TempDir, program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let mut command = Command::new(program.as_ref());
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    // The generator formats what it wrote with a program beside it.
    let path = [tools::python().parent().unwrap().to_owned()].into_iter().chain(std::env::split_paths(&inherited));
    command.args(arguments).current_dir(folder).env("PATH", std::env::join_paths(path).unwrap());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {arguments:?}: {said}{errors}", program.as_ref().display());
    said.into_owned()
}

/// Runs a client: it signs up, logs in, reads as a user and as an administrator, and is refused.
async fn works(app: &TestApp, folder: &TempDir, program: impl AsRef<Path>, script: &str) {
    let (name, admin) = (fresh_name("ada"), app.admin().await);
    let seen = run(folder, program, &[script, &app.url(), &name, &admin.username, PASSWORD]).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let user = app.anonymous().find_user(name.parse().unwrap()).await.unwrap();
    let expected = json!({
        "public_id": user.public_id,
        "me": name,
        "listed": [user.public_id],
        "validated": false,
        "kinds": ["user.registered", "session.opened"],
        "role": "user",
        "next": seen["next"],
        "status": 401,
        "code": "invalid_credentials",
        "detail": seen["detail"],
    });
    assert_eq!(seen, expected);
    assert!(seen["next"].is_string() && seen["detail"].is_string(), "{seen}");
}

fn copy(script: &str, folder: &TempDir) {
    std::fs::copy(tools::root().join("tests/openapi").join(script), folder.path().join(script)).unwrap();
}

#[tokio::test]
async fn a_client_that_openapi_typescript_made_passes_the_type_checker_and_works() {
    let app = TestApp::new().await;
    // A script finds its packages from where it lies.
    let folder = TempDir::new_in(tools::node()).unwrap();
    copy("client.mts", &folder);
    let program = |name| tools::node().join("node_modules/.bin").join(name);
    let document = format!("{}/authy/openapi.json", app.url());
    run(&folder, program("openapi-typescript"), &[&document, "--output", "schema.d.ts"]).await;
    let options = ["--strict", "--noEmitOnError", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"];
    run(&folder, program("tsc"), &[&options[..], &["client.mts"]].concat()).await;
    works(&app, &folder, "node", "client.mjs").await;
}

#[tokio::test]
async fn a_client_that_openapi_python_client_made_works() {
    let app = TestApp::new().await;
    let folder = TempDir::new().unwrap();
    copy("client.py", &folder);
    let document = format!("{}/authy/openapi.json", app.url());
    let generate =
        ["generate", "--url", &document, "--meta", "none", "--output-path", "authy_api", "--fail-on-warning"];
    run(&folder, tools::python(), &[&["-m", "openapi_python_client"], &generate[..]].concat()).await;
    works(&app, &folder, tools::python(), "client.py").await;
}

#[tokio::test]
async fn the_openapi_document_passes_a_linter() {
    let folder = TempDir::new_in(tools::node()).unwrap();
    copy("lint.mjs", &folder);
    let document = serde_json::to_string_pretty(&authy_server::openapi::document()).unwrap();
    std::fs::write(folder.path().join("openapi.json"), document).unwrap();
    run(&folder, "node", &["lint.mjs", "openapi.json"]).await;
}
