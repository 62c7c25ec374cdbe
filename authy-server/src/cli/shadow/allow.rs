//! The differences that are intended: those of this version, and those of the operator.

use std::cell::Cell;

use http::Method;

use super::compare::{How, What};

mod built_in;

/// The rules that are in force, with the number of differences that each has matched.
pub(super) struct Rules(Vec<Rule>);

/// A rule: a request and what may differ in its answer.
#[derive(Debug)]
pub(super) struct Rule {
    /// The line in the operator's file; `None` for a rule that always applies.
    pub(super) line: Option<usize>,
    /// The rule as it was written.
    pub(super) text: String,
    /// Any when it is `None`.
    method: Option<Method>,
    path: Vec<String>,
    subject: Subject,
    pub(super) matched: Cell<u64>,
}

#[derive(Debug)]
enum Subject {
    Status {
        old: u16,
        new: u16,
    },
    Field(Vec<String>),
    /// A field that only the new answer has.
    Added(Vec<String>),
}

/// A rule that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {problem}. A rule is METHOD PATH status OLD->NEW, METHOD PATH field NAME, or METHOD PATH added NAME, such \
     as `GET /authy/user/{{public_id}} field roles[].description`"
)]
pub(super) struct InvalidRule {
    line: usize,
    problem: &'static str,
}

impl Default for Rules {
    fn default() -> Self {
        let rules = built_in::RULES.iter().flat_map(|group| group.rules);
        Self(rules.filter_map(|text| rule(None, text).ok()).collect())
    }
}

impl Rules {
    /// Reads the operator's rules, and adds them to those that always apply.
    ///
    /// # Errors
    /// About the first line that is no rule.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidRule> {
        let mut rules = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let number = number + 1;
                rules.0.push(rule(Some(number), line).map_err(|problem| InvalidRule { line: number, problem })?);
            }
        }
        Ok(rules)
    }

    /// Returns whether a difference in the answer to a request is intended. All rules that match it count it.
    pub(super) fn allow(&self, method: &Method, path: &str, what: &What) -> bool {
        let matching = self.0.iter().filter(|rule| rule.matches(method, path, what));
        matching.map(|rule| rule.matched.set(rule.matched.get() + 1)).count() > 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }
}

impl Rule {
    fn matches(&self, method: &Method, path: &str, what: &What) -> bool {
        let is_subject = match (&self.subject, what) {
            (Subject::Status { old, new }, What::Status { old: was, new: is }) => (old, new) == (was, is),
            (Subject::Field(pattern), What::Field { path, .. }) => is_field(pattern, path),
            (Subject::Added(pattern), What::Field { path, how: How::OnlyNew }) => is_field(pattern, path),
            _ => false,
        };
        is_subject && self.method.as_ref().is_none_or(|own| own == method) && self.matches_path(path)
    }

    fn matches_path(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for rule in &self.path {
            match (rule.as_str(), segments.next()) {
                ("**", _) => return true,
                // As the report writes a route.
                (rule, Some(_)) if rule.starts_with('{') && rule.ends_with('}') => {}
                (rule, Some(segment)) if is_match(rule, segment) => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

/// Returns whether a part of a pattern matches: `*` matches any.
fn is_match(rule: &str, part: &str) -> bool {
    rule == "*" || rule == part
}

/// Returns whether a pattern is about a field. One about a field is about everything in it, too.
fn is_field(pattern: &[String], path: &str) -> bool {
    let path = field_parts(path);
    path.len() >= pattern.len() && pattern.iter().zip(&path).all(|(rule, part)| is_match(rule, part))
}

/// Returns the parts of the path of a field: `roles[].name` has `roles`, `[]` and `name`.
fn field_parts(path: &str) -> Vec<String> {
    path.replace("[]", ".[]").split('.').filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect()
}

fn rule(line: Option<usize>, text: &str) -> Result<Rule, &'static str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [method, path, subject, value] = &words[..] else { return Err("must have four words") };
    let method = match *method {
        "*" => None,
        name if name.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Some(name.parse().map_err(|_| "has a method that is none of HTTP's")?)
        }
        _ => return Err("has a method that is none of HTTP's"),
    };
    let path: Vec<String> = path.split('/').map(ToOwned::to_owned).collect();
    let is_rest_last = path.iter().rev().skip(1).all(|segment| segment != "**");
    if path.first().is_none_or(|first| !first.is_empty()) || !is_rest_last {
        return Err("has a path that does not begin with /, or has ** before its end");
    }
    let subject = match *subject {
        "status" => {
            let status = |text: &str| text.parse().ok().filter(|status| (100..1000).contains(status));
            let (old, new) = value.split_once("->").ok_or("has no OLD->NEW")?;
            let wrong = "has a status that is no number of three digits";
            Subject::Status { old: status(old).ok_or(wrong)?, new: status(new).ok_or(wrong)? }
        }
        "field" => Subject::Field(field_parts(value)),
        "added" => Subject::Added(field_parts(value)),
        _ => return Err("is not about `status`, `field` or `added`"),
    };
    Ok(Rule { line, text: words.join(" "), method, path, subject, matched: Cell::new(0) })
}

/// Returns the rules that always apply, in the format of a file of rules.
pub(super) fn built_in_text() -> String {
    let groups = built_in::RULES.iter().map(|group| format!("# {}\n{}\n", group.why, group.rules.join("\n")));
    groups.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(rules: &str, method: Method, path: &str, what: &What) -> bool {
        Rules(Rules::parse(rules).unwrap().0.into_iter().filter(|rule| rule.line.is_some()).collect())
            .allow(&method, path, what)
    }

    fn field(path: &str) -> What {
        What::Field { path: path.to_owned(), how: How::Differs }
    }

    #[test]
    fn a_rule_is_about_a_method_a_path_and_a_status_or_a_field() {
        let status = What::Status { old: 200, new: 404 };
        let added = What::Field { path: "roles".to_owned(), how: How::OnlyNew };
        for (rule, path, what, expected) in [
            ("GET /authy/user/* status 200->404 # why", "/authy/user/1", &status, true),
            ("* /authy/** status 200->404", "/authy/user/1", &status, true),
            ("GET /authy/user/{public_id} status 200->404", "/authy/user/1", &status, true),
            ("GET /authy/user/{public_id} status 200->404", "/authy/user/1/role", &status, false),
            ("* /** status 200->404", "/authy", &status, true),
            ("POST /authy/user/* status 200->404", "/authy/user/1", &status, false),
            ("GET /authy/user/* status 404->200", "/authy/user/1", &status, false),
            ("GET /authy/user status 200->404", "/authy/user/1", &status, false),
            ("GET /authy/*/x status 200->404", "/authy/user/1", &status, false),
            ("GET /authy/user/* field roles", "/authy/user/1", &field("roles[].name"), true),
            ("GET /authy/user/* field roles[].*", "/authy/user/1", &field("roles[].name"), true),
            ("GET /authy/user/* field roles[].name", "/authy/user/1", &field("roles[]"), false),
            ("GET /authy/user/* field role", "/authy/user/1", &field("roles"), false),
            ("GET /authy/user/* field roles", "/authy/user/1", &status, false),
            ("GET /authy/user/* added roles", "/authy/user/1", &field("roles[].name"), false),
            ("GET /authy/user/* added roles", "/authy/user/1", &added, true),
        ] {
            assert_eq!(allows(rule, Method::GET, path, what), expected, "{rule}");
        }
    }

    #[test]
    fn a_line_that_is_no_rule_is_named() {
        for line in [
            "GET /authy",
            "get /authy status 200->404",
            "GET authy status 200->404",
            "GET /** /x status 1->2",
            "GET /**/x status 200->404",
            "GET /authy status 200",
            "GET /authy status 20->404",
            "GET /authy body none",
            "GET /authy field a b",
        ] {
            let refused = Rules::parse(&format!("# mine\n\n{line}")).err().unwrap();
            assert_eq!(refused.line, 3, "{line}");
        }
    }

    #[test]
    fn the_rules_that_always_apply_are_a_file_of_rules() {
        let count = built_in::RULES.iter().map(|group| group.rules.len()).sum::<usize>();
        assert_eq!(Rules::default().0.len(), count);
        assert_eq!(Rules::parse(&built_in_text()).unwrap().0.len(), 2 * count);
    }

    proptest! {
        #[test]
        fn any_text_is_rules_or_refused(text in "\\PC*|((GET|\\*) (/[a-z*]{0,3}){1,3} (status|field|added) [0-9a-z>.*\\[\\]-]{1,9}\\n){0,3}") {
            if let Ok(rules) = Rules::parse(&text) {
                rules.allow(&Method::GET, "/authy/user", &field("roles[].name"));
            }
        }
    }
}
