//! The page on metrics, the alerts and the dashboard name the metrics that a server has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use authy_tests::{TestApp, monitoring, tools, wire::get};

use super::has_table;

/// The table of metrics, made from what a server answers.
fn table(scrape: &str) -> String {
    let comments = |word| {
        let lines = scrape.lines().filter_map(move |line| line.strip_prefix(word)?.split_once(' '));
        lines.collect::<BTreeMap<_, _>>()
    };
    let (types, meanings) = (comments("# TYPE "), comments("# HELP "));
    assert!(types.len() > 25 && types.keys().eq(meanings.keys()), "{scrape}");
    let row = |(name, kind)| format!("| `{name}` | {kind} | {} |\n", meanings[name]);
    format!("| metric | type | meaning |\n|---|---|---|\n{}", types.into_iter().map(row).collect::<String>())
}

#[tokio::test]
async fn the_page_on_metrics_has_every_metric() {
    let scrape = get(TestApp::new().await.address, "/metrics").await.body;
    has_table("docs/metrics.md", "metrics", &table(&scrape));
}

#[test]
fn the_page_on_metrics_explains_every_alert_and_no_other() {
    let page = fs::read_to_string(tools::root().join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `Authy")?.split_once('`'));
    let explained: Vec<_> = rows.map(|(name, _)| format!("Authy{name}")).collect();
    assert_eq!(explained, monitoring::alerts());
}

#[test]
fn every_metric_of_the_page_is_on_the_dashboard() {
    let page = fs::read_to_string(tools::root().join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `authy_")?.split_once('`'));
    let metrics: Vec<_> = rows.map(|(name, _)| format!("authy_{name}")).collect();
    assert!(metrics.len() > 25, "{metrics:?}");
    let shown = monitoring::dashboard_expressions().join(" ");
    let words: BTreeSet<_> = shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let is_shown = |name: &String| words.contains(name.as_str()) || words.contains(format!("{name}_bucket").as_str());
    let missing: Vec<_> = metrics.iter().filter(|name| !is_shown(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_on_operations_names_every_alert_to_watch() {
    let page = fs::read_to_string(tools::root().join("docs/operations.md")).unwrap();
    let watched = page.split("## What to watch").nth(1).unwrap().split("\n## ").next().unwrap();
    let names: BTreeSet<_> = watched.split('`').filter(|name| name.starts_with("Authy")).collect();
    assert_eq!(names, monitoring::alerts().iter().map(String::as_str).collect());
}

#[tokio::test]
async fn the_alerts_and_the_dashboard_name_only_metrics_that_there_are() {
    let scrape = get(TestApp::new().await.address, "/metrics").await.body;
    let known = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let known: BTreeSet<_> = known
        .flat_map(|(name, kind)| match kind {
            "histogram" => ["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect();
    let expressions = [monitoring::alert_expressions(), monitoring::dashboard_expressions()].concat();
    assert!(expressions.len() > 50, "{}", expressions.len());
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: Vec<_> = words.filter(|word| word.starts_with("authy_") || word.starts_with("process_")).collect();
        let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {expression}");
        assert!(!named.is_empty() || expression.contains("up{"), "{expression}");
    }
}
