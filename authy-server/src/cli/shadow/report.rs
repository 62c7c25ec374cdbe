//! What a replay found: a block for each kind of difference, and a summary.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Sides,
    allow::Rules,
    base_url::BaseUrl,
    compare::{Difference, What},
    recording::{RecordedRequest, Recording},
    redact::Redactor,
    route::Routes,
};

/// What became of a request.
pub(super) enum Verdict {
    Same,
    /// All differences are allowed.
    Intended,
    /// The differences that are not allowed.
    Different(Vec<Difference>),
    /// One of both servers refused it by a rate limit.
    RateLimited,
}

/// The report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    old: String,
    new: String,
    /// The number of recorded requests.
    recorded: u64,
    /// The number of requests whose answers were compared.
    compared: u64,
    same: u64,
    intended: u64,
    different: u64,
    pub(super) skipped: Skipped,
    /// The number of requests that were sent with the recorded token, because its login was not replayed.
    pub(super) tokens_as_recorded: u64,
    differences: Vec<DifferenceGroup>,
    /// The rules that allowed something.
    allowed: Vec<AllowedByRule>,
    /// The operator's rules that matched nothing.
    unused_rules: Vec<UnusedRule>,
    #[serde(skip)]
    groups: BTreeMap<(String, String, What), DifferenceGroup>,
}

/// The numbers of requests that were not compared, by reason.
#[derive(Debug, Default, Serialize)]
pub(super) struct Skipped {
    /// They would change something.
    pub(super) writes: u64,
    /// They are not for authy.
    elsewhere: u64,
    /// Their user has no token of both servers.
    pub(super) without_token: u64,
    /// One of both servers refused them by a rate limit.
    rate_limited: u64,
}

/// Differences of the same kind in answers to the same kind of request.
#[derive(Clone, Debug, Serialize)]
struct DifferenceGroup {
    method: String,
    route: String,
    difference: String,
    count: u64,
    first: FirstDifference,
}

/// The first of them.
#[derive(Clone, Debug, Serialize)]
struct FirstDifference {
    /// Where the request is in the file.
    place: String,
    request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    old: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    new: String,
}

#[derive(Debug, Serialize)]
struct AllowedByRule {
    rule: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct UnusedRule {
    line: usize,
    rule: String,
}

impl Report {
    pub(super) fn new(servers: &Sides<BaseUrl>, recording: &Recording) -> Self {
        Self {
            old: servers.old.to_string(),
            new: servers.new.to_string(),
            recorded: recording.requests.len() as u64 + recording.elsewhere,
            compared: 0,
            same: 0,
            intended: 0,
            different: 0,
            skipped: Skipped { elsewhere: recording.elsewhere, ..Skipped::default() },
            tokens_as_recorded: 0,
            differences: Vec::new(),
            allowed: Vec::new(),
            unused_rules: Vec::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Adds what became of a request.
    pub(super) fn add(&mut self, routes: &Routes, redactor: &Redactor, request: &RecordedRequest, verdict: Verdict) {
        self.compared += 1;
        let differences = match verdict {
            Verdict::Same => {
                self.same += 1;
                return;
            }
            Verdict::Intended => {
                self.intended += 1;
                return;
            }
            Verdict::RateLimited => {
                self.compared -= 1;
                self.skipped.rate_limited += 1;
                return;
            }
            Verdict::Different(differences) => differences,
        };
        self.different += 1;
        let (method, route) = (request.method.to_string(), routes.template(&request.target));
        // A list of many rows differs in the same way in each: counted once per request.
        let mut of_request = Vec::with_capacity(differences.len());
        for Difference { what, field, shown } in differences {
            if of_request.contains(&what) {
                continue;
            }
            let first = || FirstDifference {
                place: request.place.to_string(),
                request: format!("{method} {}", redactor.text(&routes.shown(&request.target), &route)),
                field,
                old: shown.old,
                new: shown.new,
            };
            let key = (route.clone(), method.clone(), what.clone());
            let group = self.groups.entry(key).or_insert_with(|| DifferenceGroup {
                method: method.clone(),
                route: route.clone(),
                difference: what.to_string(),
                count: 0,
                first: first(),
            });
            group.count += 1;
            of_request.push(what);
        }
    }

    /// Completes the report: the groups, the most frequent first, and what the rules did.
    pub(super) fn end(&mut self, rules: &Rules) {
        self.differences = std::mem::take(&mut self.groups).into_values().collect();
        self.differences.sort_by_key(|group| std::cmp::Reverse(group.count));
        for rule in rules.iter() {
            match (rule.matched.get(), rule.line) {
                (0, Some(line)) => self.unused_rules.push(UnusedRule { line, rule: rule.text.clone() }),
                (0, None) => {}
                (count, _) => self.allowed.push(AllowedByRule { rule: rule.text.clone(), count }),
            }
        }
    }

    /// Returns whether all answers were the same, but for what is intended, and none was refused by a rate limit.
    pub(super) fn is_same(&self) -> bool {
        self.different == 0 && self.skipped.rate_limited == 0 && self.skipped.without_token == 0 && self.compared > 0
    }

    /// Returns the line of progress.
    pub(super) fn progress(&self, total: usize, seconds: u64) -> String {
        let Self { compared, different, .. } = self;
        format!("compared {compared} of {total} requests: {different} differ, after {seconds} s")
    }

    /// Returns the report for people.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for DifferenceGroup { method, route, difference, count, first } in &self.differences {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            lines.push(format!("{method} {route}: {difference}, {times}"));
            let FirstDifference { place, request, field, old, new } = first;
            let mut line = format!("  first: {place}, {request}");
            if let Some(field) = field {
                line += &format!(": {field}");
            }
            for (side, value) in [("old", old), ("new", new)] {
                if !value.is_empty() {
                    line += &format!(", {side} {value}");
                }
            }
            lines.push(line);
        }
        let rules = self.allowed.iter().map(|AllowedByRule { rule, count }| format!("allowed {count} times: {rule}"));
        lines.extend(rules);
        let unused = self.unused_rules.iter();
        lines
            .extend(unused.map(|UnusedRule { line, rule }| format!("the rule in line {line} matched nothing: {rule}")));
        self.add_reasons(&mut lines);
        let Self { recorded, compared, same, intended, different, .. } = self;
        lines.push(format!(
            "{recorded} requests recorded, {compared} compared: {same} the same, {intended} with intended differences, \
             {different} different"
        ));
        lines.join("\n")
    }

    /// Adds why requests were not compared, and what to do about it.
    fn add_reasons(&self, lines: &mut Vec<String>) {
        let Skipped { writes, elsewhere, without_token, rate_limited } = self.skipped;
        let reasons = [
            (writes, "they would change something (--dangerous-replay-writes replays them)"),
            (elsewhere, "they are not for authy"),
            (without_token, "the login of their user was not replayed, or one of both servers refused it"),
            (
                rate_limited,
                "one of both servers refused them by a rate limit. Divide the recording, or turn the limits of the new server \
                 off meanwhile (AUTHY_LIMIT_LOGIN=off, AUTHY_LIMIT_DEFAULT=off)",
            ),
        ];
        let given = reasons.into_iter().filter(|(count, _)| *count > 0);
        lines.extend(given.map(|(count, reason)| format!("not compared, {count}: {reason}")));
        if self.tokens_as_recorded > 0 {
            lines.push(format!(
                "sent with the recorded token, {}: the new server accepts it with AUTHY_LEGACY_HS512_SECRET alone",
                self.tokens_as_recorded
            ));
        }
    }
}
