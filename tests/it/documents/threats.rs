//! The threat model names files and tests: each of them exists.

use std::{fs, path::Path};

use authy_tests::tools;

/// Adds every Rust file below a folder: its path, and its text.
pub(super) fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && !["target", "fuzz", ".git"].contains(&name) {
            sources(&entry, found);
        } else if name.ends_with(".rs") {
            found.push((entry.to_str().unwrap().to_owned(), fs::read_to_string(&entry).unwrap()));
        }
    }
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_file_and_test_that_the_threat_model_names_exists() {
    let root = tools::root();
    let model = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let mut all = Vec::new();
    sources(root, &mut all);
    let (mut rows, mut wrong) = (0, Vec::new());
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    for row in model.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack |")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_, _, place, tests] = cells[..] else { panic!("a row without four cells: {row}") };
        rows += 1;
        let mut text = String::new();
        for name in quoted(place) {
            if name.contains('/') || name.contains(".rs") {
                let paths = [root.join(name), root.join("authy-core/src").join(name)];
                let found = paths.iter().find_map(|path| fs::read_to_string(path).ok());
                expect(found.is_some(), name);
                text = found.unwrap_or_default();
            } else {
                expect(text.contains(name), name);
            }
        }
        // In parentheses stands which of its cases a test has for this.
        let tests: String = tests.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect();
        for name in quoted(&tests) {
            let mut parts = name.rsplit("::");
            let (last, module) = (parts.next().unwrap(), parts.next().unwrap_or_default());
            let in_module =
                |path: &str| path.contains(&format!("/{module}.rs")) || path.contains(&format!("/{module}/"));
            let is_test = |(path, text): &(String, String)| {
                text.contains(&format!("fn {last}(")) && (module.is_empty() || in_module(path))
            };
            let is_module = |(path, _): &(String, String)| path.ends_with(&format!("/{last}.rs"));
            expect(all.iter().any(is_test) || all.iter().any(is_module), name);
        }
    }
    assert!(rows > 60, "{rows}");
    assert!(wrong.is_empty(), "docs/threat-model.md names what does not exist: {wrong:#?}");
}
