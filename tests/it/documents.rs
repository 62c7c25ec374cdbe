//! Documents that are made from the code: as they were last reviewed, and as others validate them.
//!
//! `UPDATE_SNAPSHOTS=1` writes them anew: read the diff.

use std::{fs, path::Path};

use authy_tests::tools;
use tokio::process::Command;

mod exceptions;
mod monitoring;
mod pages;
mod programs;
mod public_api;
mod threats;

/// That a file says what the code says.
fn is_up_to_date(file: &Path, made: &str) {
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, made).unwrap();
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    let differs = made.lines().zip(written.lines()).find(|(made, written)| made != written);
    assert!(
        made == written,
        "{} is stale: UPDATE_SNAPSHOTS=1 brings it up to date. The first line that differs: {differs:?}",
        file.display()
    );
}

fn openapi() -> String {
    serde_json::to_string_pretty(&authy_server::openapi::document()).unwrap() + "\n"
}

#[test]
fn the_openapi_document_is_the_one_that_was_read() {
    is_up_to_date(&tools::root().join("tests/snapshots/openapi.json"), &openapi());
}

#[tokio::test]
async fn the_openapi_document_is_valid_by_the_schema_of_openapi_3_1() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), openapi()).unwrap();
    let mut command = Command::new(tools::python());
    let output =
        command.args(["-m", "openapi_spec_validator", "--schema", "3.1.0"]).arg(file.path()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn asyncapi() -> String {
    serde_json::to_string_pretty(&authy_server::asyncapi::document()).unwrap() + "\n"
}

#[test]
fn the_asyncapi_document_is_the_one_that_was_read() {
    is_up_to_date(&tools::root().join("tests/snapshots/asyncapi.json"), &asyncapi());
}

#[tokio::test]
async fn the_asyncapi_document_is_valid_by_the_schema_of_asyncapi_3_0() {
    let schema = tools::node().join("node_modules/@asyncapi/specs/schemas/3.0.0.json");
    tools::validate(&schema, &[asyncapi()]).await;
}

/// That a page has a table between its marks.
fn has_table(page: &str, mark: &str, table: &str) {
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let file = tools::root().join(page);
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    is_up_to_date(&file, &format!("{before}{begin}{table}{end}{after}"));
}

#[test]
fn the_page_on_configuration_has_the_table_of_settings() {
    has_table("docs/configuration.md", "configuration", &authy_server::config::table_markdown());
}

#[test]
fn the_page_on_scaling_has_the_figures_of_the_example() {
    has_table("docs/scaling.md", "figures", &crate::capacity::figures::table());
}
