//! The pages for readers: README.md, CONTRIBUTING.md and docs/*.md. Their blocks are run or compiled, their links
//! lead somewhere, and the settings and endpoints that they name exist.

use std::{collections::HashSet, fs, path::PathBuf};

use authy_tests::tools;

/// A page that is longer is hard to find anything in.
const MAX_LINES: usize = 250;

pub(super) struct MarkdownPage {
    /// Its path from the folder of the project.
    pub(super) name: String,
    pub(super) text: String,
}

/// A block of code: the words behind its opening fence, and its lines.
pub(super) struct Block<'a> {
    tag: &'a str,
    pub(super) lines: Vec<&'a str>,
}

impl MarkdownPage {
    pub(super) fn read(name: &str) -> Self {
        let text = fs::read_to_string(tools::root().join(name)).unwrap();
        Self { name: name.to_owned(), text }
    }

    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for line in self.text.lines() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(tag), None) => open = Some(Block { tag, lines: Vec::new() }),
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name);
        blocks
    }
}

/// The README and the pages of docs/.
pub(super) fn pages() -> Vec<MarkdownPage> {
    let docs = fs::read_dir(tools::root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_str().unwrap())).filter(|name| name.ends_with(".md"));
    let mut names: Vec<_> = docs.chain(["README.md".to_owned()]).collect();
    names.sort();
    assert!(names.len() > 9, "{names:?}");
    names.iter().map(|name| MarkdownPage::read(name)).collect()
}

/// `sh` is run by authy-server/tests/program/documents.rs, which walks the same pages, and `rust` compiled by
/// examples/lib.rs, or examples/pages/lib.rs for services. A block with any other tag is not run, so none may contain what can be run.
#[test]
fn every_block_of_code_is_run_or_compiled() {
    let read = |file: &str| fs::read_to_string(tools::root().join(file)).unwrap();
    let (compiled, for_services) = (read("examples/lib.rs"), read("examples/pages/lib.rs"));
    let python = [read("examples/webhook.py"), read("tests/openapi/client.py")].concat();
    let typescript = read("tests/openapi/client.mts");
    for page in pages() {
        for Block { tag, lines } in page.blocks() {
            let (name, text) = (&page.name, lines.join("\n"));
            match tag {
                "sh" => {}
                "rust" | "rust,no_run" => {
                    let of_embedders = compiled.contains(&format!("\"../{name}\""));
                    let of_services = for_services.contains(&format!("\"../../{name}\""));
                    assert!(of_embedders != of_services, "{name} belongs in examples/lib.rs or examples/pages/lib.rs");
                }
                "json" => drop(serde_json::from_str::<serde_json::Value>(&text).unwrap()),
                // The tests of the receiver and of the generated clients run it.
                "python" => assert!(python.contains(&text), "{name}: not of examples/webhook.py or client.py: {text}"),
                "ts" => assert!(typescript.contains(&text), "{name}: not of tests/openapi/client.mts: {text}"),
                // Run by `proxies`.
                "nginx" | "caddyfile" | "haproxy" | "lua" => assert_eq!(name, "docs/proxies.md"),
                "text" => {
                    for program in ["curl ", "authy-server ", "cargo ", "printf "] {
                        // A container's, or a program's own, of which `programs` adds them.
                        let is_elsewhere = |line: &str| line.contains("docker") || line.starts_with("cargo add ");
                        let runs = lines.iter().find(|line| line.starts_with(program) && !is_elsewhere(line));
                        assert!(runs.is_none(), "{name}: this can be run, so it needs the tag sh: {runs:?}");
                    }
                }
                other => panic!("{name}: a block with the tag {other:?} is neither run nor compiled"),
            }
        }
    }
}

#[test]
fn every_page_begins_with_its_title_and_is_short() {
    for page in pages() {
        let lines: Vec<_> = page.text.lines().collect();
        assert!(lines.len() <= MAX_LINES, "{} has {} lines", page.name, lines.len());
        assert!(
            lines[0].starts_with("# ") && lines[1].is_empty() && !lines[2].starts_with(['#', '|']),
            "{}",
            page.name
        );
    }
}

/// The anchors that a Markdown page has by its headings.
fn anchors(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings.map(|heading| heading.chars().filter_map(kept).collect()).collect()
}

#[test]
fn every_link_of_a_page_leads_somewhere_and_every_page_is_linked() {
    let root = tools::root();
    let mut linked = HashSet::new();
    let others = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(MarkdownPage::read);
    for page in pages().into_iter().chain(others) {
        let folder: PathBuf = root.join(&page.name).parent().unwrap().to_owned();
        for link in page.text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if path.is_empty() { root.join(&page.name) } else { folder.join(path) };
            assert!(file.exists(), "{}: {link} leads nowhere", page.name);
            if !anchor.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                assert!(anchors(&text).contains(anchor), "{}: {link} leads nowhere", page.name);
            }
            if page.name == "README.md" {
                linked.insert(path.to_owned());
            }
        }
    }
    let missing: Vec<_> = pages().into_iter().map(|page| page.name).filter(|name| !linked.contains(name)).collect();
    assert_eq!(missing, ["README.md"], "pages that the README does not link");
}

#[test]
fn every_setting_and_endpoint_that_a_page_names_exists() {
    let table = authy_server::config::table_markdown();
    // They name the file of settings, and the commit of a build, and are none themselves.
    let known = |name: &str| ["AUTHY_CONFIG", "AUTHY_COMMIT"].contains(&name) || table.contains(&format!("`{name}`"));
    let document = authy_server::openapi::document();
    let paths = document["paths"].as_object().unwrap();
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    for MarkdownPage { name, text } in pages() {
        for setting in text.split("AUTHY_").skip(1).map(|rest| rest.split(is_end).next().unwrap()) {
            let setting = setting.trim_end_matches("_FILE").trim_end_matches('_');
            let whole = format!("AUTHY_{setting}");
            let is_prefix = table.contains(&format!("`{whole}_"));
            assert!(setting.is_empty() || known(&whole) || is_prefix, "{name}: {whole} is no setting");
        }
        for method in ["GET", "POST", "PUT", "DELETE"] {
            for path in text.split(&format!("`{method} /")).skip(1) {
                let path = format!("/{}", path.split(['`', '?', ' ', '\n']).next().unwrap());
                let operation = &paths.get(&path).unwrap_or_else(|| panic!("{name}: no endpoint {path}"));
                assert!(operation.get(method.to_lowercase()).is_some(), "{name}: no {method} {path}");
            }
        }
    }
}
