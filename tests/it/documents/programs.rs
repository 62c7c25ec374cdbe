//! The programs that the pages tell a reader to begin with: their dependencies can be added, and are those of the examples.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, process::Command};

use authy_tests::tools;
use serde_json::Value;

use super::pages::{MarkdownPage, pages};

/// Runs cargo without network, and returns what it prints.
fn cargo<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(arguments).arg("--offline").current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the names of the packages that a package depends on, without those of its tests.
fn dependencies(folder: &Path) -> BTreeSet<String> {
    let metadata = cargo(folder, ["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let manifest = fs::canonicalize(folder.join("Cargo.toml")).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let is_it = |package: &&Value| Path::new(package["manifest_path"].as_str().unwrap()) == manifest;
    let package = packages.find(is_it).unwrap();
    let all = package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
    all.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

/// Adds dependencies to a new package beside this repository, and returns their names. The features and the packages exist,
/// or cargo would refuse the command.
fn add(commands: &[&str]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    symlink(fs::canonicalize(tools::root()).unwrap(), folder.path().join("authy")).unwrap();
    let program = folder.path().join("program");
    fs::create_dir_all(program.join("src")).unwrap();
    fs::write(program.join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(program.join("Cargo.toml"), "[package]\nname = \"program\"\nedition = \"2024\"\n").unwrap();
    for command in commands {
        let command = command.split('#').next().unwrap();
        cargo(&program, command.split_whitespace().skip(1).chain(["--quiet"]));
    }
    dependencies(&program)
}

/// Returns the commands of each program: the consecutive lines of a block.
fn programs(page: &MarkdownPage) -> Vec<(Option<String>, Vec<&str>)> {
    let mut programs = Vec::new();
    for block in page.blocks() {
        for lines in block.lines.split(|line| line.is_empty()) {
            let commands: Vec<_> = lines.iter().copied().filter(|line| line.starts_with("cargo add ")).collect();
            let title = lines.first().and_then(|line| line.strip_prefix("# examples/"));
            let example = title.map(|title| title.split([',', ' ']).next().unwrap().to_owned());
            if !commands.is_empty() {
                programs.push((example, commands));
            }
        }
    }
    programs
}

#[test]
fn the_dependencies_of_every_program_can_be_added_and_those_of_an_example_are_complete() {
    let (mut added, mut examples) = (0, BTreeSet::new());
    for page in pages() {
        for (example, commands) in programs(&page) {
            let names = add(&commands);
            added += 1;
            if let Some(example) = example {
                assert_eq!(names, dependencies(&tools::root().join("examples").join(&example)), "{}", page.name);
                examples.insert(example);
            }
        }
    }
    assert!(added > 6, "{added}");
    assert_eq!(examples.into_iter().collect::<Vec<_>>(), ["operations", "shop", "sibling"]);
}

/// On other systems there are other crates.
#[cfg(target_os = "linux")]
#[test]
fn the_numbers_of_crates_are_those_of_the_examples() {
    let page = MarkdownPage::read("docs/embedding.md");
    for example in ["operations", "shop", "sibling"] {
        let package = format!("authy-example-{example}");
        let tree = ["tree", "--package", &package, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
        let tree = cargo(tools::root(), tree.into_iter().chain(["--locked"]));
        let crates: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let row = page.text.lines().find(|line| line.starts_with(&format!("| `examples/{example}` |"))).unwrap();
        // Without the program itself.
        assert_eq!(row.split('|').nth(3).unwrap().trim(), (crates.len() - 1).to_string(), "{row}");
    }
}
