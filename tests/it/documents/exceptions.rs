//! CONTRIBUTING.md lists every write that is no transaction with an event, and nothing else.

use std::{collections::BTreeSet, fs};

use authy_tests::tools;

use super::threats::sources;

/// The kinds of exceptions, as CONTRIBUTING.md heads its tables, and what the code calls.
const KINDS: [(&str, &[&str]); 3] = [
    ("| statement that wakes the relay |", &["db.write(", "db().write("]),
    ("| statement without an event |", &["db.write_quietly("]),
    ("| transaction without an event |", &["Written::without_event"]),
];

/// The statement or the function that a use is about, and its file.
type Use = (String, String);

/// The name of the statement that a call executes; of the function around it when the statement is an argument of that.
fn statement(before: &str, after: &str) -> String {
    let argument = after.trim_start().split(',').next().unwrap().trim_start_matches('&');
    match argument.rsplit_once("::") {
        Some((_, name)) => name.to_owned(),
        None => function(before),
    }
}

/// The name of the function that begins last in a text.
fn function(text: &str) -> String {
    let after = text.rsplit("fn ").next().unwrap();
    after.split(['(', '<']).next().unwrap().to_owned()
}

fn uses(calls: &[&str]) -> BTreeSet<Use> {
    let folder = tools::root().join("authy-core/src/engine");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut found = BTreeSet::new();
    for (path, text) in files {
        let file = path.strip_prefix(folder.to_str().unwrap()).unwrap().trim_start_matches('/').to_owned();
        for call in calls {
            for (at, _) in text.match_indices(call) {
                let (before, after) = (&text[..at], &text[at + call.len()..]);
                let name = if call.ends_with('(') { statement(before, after) } else { function(before) };
                found.insert((name, file.clone()));
            }
        }
    }
    found
}

fn listed(page: &str, heading: &str) -> BTreeSet<Use> {
    let at = page.find(heading).unwrap_or_else(|| panic!("CONTRIBUTING.md has no table {heading:?}"));
    let rows = page[at..].lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut found = BTreeSet::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        assert!(cells.len() == 3 && !cells[2].is_empty(), "a row without a reason: {row}");
        assert!(found.insert((cells[0].to_owned(), cells[1].to_owned())), "twice: {row}");
    }
    found
}

#[test]
fn every_write_that_is_no_transaction_with_an_event_is_listed_with_its_reason() {
    let page = fs::read_to_string(tools::root().join("CONTRIBUTING.md")).unwrap();
    for (heading, calls) in KINDS {
        let (uses, listed) = (uses(calls), listed(&page, heading));
        assert!(!uses.is_empty(), "{calls:?}");
        let unlisted: Vec<_> = uses.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&uses).collect();
        assert!(
            unlisted.is_empty() && gone.is_empty(),
            "{heading} lacks {unlisted:?}, and {gone:?} are not in the code"
        );
    }
}
