//! The alerts and the dashboard that are deployed.

use std::fs;

use serde_json::Value;

use crate::tools;

/// Where the alerts are.
pub const RULES: &str = "deploy/prometheus/authy.rules.yml";

/// Where the dashboard is.
pub const DASHBOARD: &str = "deploy/grafana/authy.json";

fn rules() -> String {
    fs::read_to_string(tools::root().join(RULES)).unwrap()
}

/// The names of all alerts.
pub fn alerts() -> Vec<String> {
    let rules = rules();
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(ToOwned::to_owned).collect()
}

/// The expressions of all alerts, each on one line.
pub fn alert_expressions() -> Vec<String> {
    let rules = rules();
    let expression = |rest: &str| {
        let lines = rest.lines().take_while(|line| !["for:", "labels:"].iter().any(|key| line.trim().starts_with(key)));
        lines.map(|line| line.trim().trim_start_matches('|')).collect::<Vec<_>>().join(" ").trim().to_owned()
    };
    let expressions: Vec<_> = rules.split("expr:").skip(1).map(expression).collect();
    assert_eq!(expressions.len(), alerts().len());
    expressions
}

/// The expressions of all panels of the dashboard, with its variables filled in for all instances.
pub fn dashboard_expressions() -> Vec<String> {
    let dashboard = fs::read_to_string(tools::root().join(DASHBOARD)).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let expression = |target: &Value| {
        let filled = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m").replace("$instance", ".*");
        assert!(!filled.contains('$'), "{filled}");
        filled
    };
    targets.map(expression).collect()
}
