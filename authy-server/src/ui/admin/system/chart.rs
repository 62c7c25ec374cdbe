//! The logins of the last hours as a chart: bars of an SVG, and the numbers of the table behind it.

use authy_core::engine::{LoginHour, SessionOutcome};
use serde::Serialize;

use crate::ui::texts::Texts;

/// Number of hours on the chart: as many as the engine keeps.
const HOURS: usize = 24;

/// Height of the chart, in units of its own. The page stretches it.
const HEIGHT: f64 = 100.0;

/// Minimum height of a part of a bar, so that one failure among thousands is seen.
const MIN_HEIGHT: f64 = 1.5;

/// Width of an hour, and of the bar in it.
const HOUR_WIDTH: f64 = 10.0;
const BAR_WIDTH: f64 = 7.0;

/// The groups of outcomes, in the order of the parts of a bar from below. The reasons for a login without success are kept apart,
/// because each asks for something else.
const GROUPS: [&str; 4] = ["succeeded", "refused", "not_permitted", "failed"];

/// A chart.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct Chart {
    bars: Vec<Bar>,
    /// The beginnings of the hours at each quarter of the chart.
    labels: Vec<String>,
    /// The largest number of logins in an hour, and the number in all.
    max: u64,
    total: u64,
    /// How many logins each group has: the legend.
    totals: Vec<Total>,
    /// The numbers of each hour, the newest first.
    rows: Vec<Row>,
    /// Whether there was any login.
    is_empty: bool,
}

/// An hour of the chart.
#[derive(Clone, Debug, Serialize)]
struct Bar {
    x: f64,
    width: f64,
    /// What the bar says when it is pointed at; nothing for an hour that was not counted.
    title: Option<String>,
    parts: Vec<Part>,
}

/// A part of a bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Part {
    group: &'static str,
    y: f64,
    height: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Total {
    group: &'static str,
    text: String,
    number: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    hour: String,
    numbers: Vec<u64>,
}

impl Chart {
    /// Draws hours, oldest first, of which the last is the current one. Earlier hours were not counted.
    pub(super) fn new(hours: &[LoginHour], texts: &Texts) -> Self {
        let counted: Vec<_> = hours.iter().map(|hour| (hour, numbers(hour))).collect();
        let max = counted.iter().map(|(_, numbers)| numbers.iter().sum::<u64>()).max().unwrap_or_default();
        let text = |group: &str| texts.get(&format!("overview.{group}"));
        let missing = HOURS.saturating_sub(counted.len());
        let place = |index: usize| (index as f64).mul_add(HOUR_WIDTH, (HOUR_WIDTH - BAR_WIDTH) / 2.0);
        let unknown =
            (0..missing).map(|index| Bar { x: place(index), width: BAR_WIDTH, title: None, parts: Vec::new() });
        let known = counted.iter().enumerate().map(|(index, (hour, numbers))| {
            let said: Vec<_> =
                GROUPS.iter().zip(numbers).map(|(group, number)| format!("{number} {}", text(group))).collect();
            let title = format!("{}: {}", clock(hour), said.join(", "));
            Bar { x: place(missing + index), width: BAR_WIDTH, title: Some(title), parts: parts(numbers, max) }
        });
        let total = |(index, group): (usize, &&'static str)| Total {
            group,
            text: text(group),
            number: counted.iter().filter_map(|(_, numbers)| numbers.get(index)).sum(),
        };
        let last = counted.last().map(|(hour, _)| hour.began);
        let label = |quarter: u32| {
            let hours_ago = HOURS as i64 - 1 - i64::from(quarter) * HOURS as i64 / 4;
            last.map(|last| (last - chrono::TimeDelta::hours(hours_ago)).format("%H:00").to_string())
        };
        Self {
            bars: unknown.chain(known).collect(),
            labels: (0..4).filter_map(label).collect(),
            max,
            total: counted.iter().flat_map(|(_, numbers)| numbers).sum(),
            totals: GROUPS.iter().enumerate().map(total).collect(),
            rows: counted
                .iter()
                .rev()
                .map(|(hour, numbers)| Row { hour: clock(hour), numbers: numbers.to_vec() })
                .collect(),
            is_empty: max == 0,
        }
    }

    pub(super) fn sample(is_full: bool) -> Self {
        let bar = |title| Bar {
            x: 1.5,
            width: BAR_WIDTH,
            title,
            parts: vec![Part { group: "succeeded", y: 10.0, height: 90.0 }],
        };
        let totals = GROUPS.map(|group| Total { group, text: group.to_owned(), number: 1 });
        let row = Row { hour: "10:00".to_owned(), numbers: vec![1, 0, 0, 0] };
        Self {
            bars: vec![bar(None), bar(Some("sample".to_owned()))],
            labels: vec!["10:00".to_owned()],
            max: 1,
            total: 1,
            totals: totals.into(),
            rows: vec![row],
            is_empty: !is_full,
        }
    }
}

/// Returns when an hour began.
fn clock(hour: &LoginHour) -> String {
    hour.began.format("%Y-%m-%d %H:00").to_string()
}

/// Returns the number of logins in each group.
fn numbers(hour: &LoginHour) -> [u64; GROUPS.len()] {
    let mut numbers = [0; GROUPS.len()];
    for (outcome, count) in &hour.logins {
        if let Some(number) = numbers.get_mut(group(*outcome)) {
            *number += count;
        }
    }
    numbers
}

/// Returns the index of the group of an outcome.
fn group(outcome: SessionOutcome) -> usize {
    match outcome {
        SessionOutcome::Succeeded => 0,
        SessionOutcome::InvalidCredentials => 1,
        SessionOutcome::NotValidated | SessionOutcome::NoRole => 2,
        // Also what a later version adds.
        _ => 3,
    }
}

/// Returns the parts of a bar, from below. The tallest bar has the whole height.
fn parts(numbers: &[u64; GROUPS.len()], max: u64) -> Vec<Part> {
    let mut below = 0.0;
    let mut parts = Vec::new();
    for (group, number) in GROUPS.into_iter().zip(numbers).filter(|(_, number)| **number > 0) {
        let height = round((*number as f64 / max.max(1) as f64 * HEIGHT).max(MIN_HEIGHT));
        below = round(below + height);
        // The small parts may be taller than they are.
        parts.push(Part { group, y: round((HEIGHT - below).max(0.0)), height });
    }
    parts
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Looks;

    #[test]
    fn the_tallest_bar_has_the_whole_height_and_the_smallest_part_is_seen() {
        let part = |group, y, height| Part { group, y, height };
        assert_eq!(parts(&[10, 0, 0, 0], 10), [part("succeeded", 0.0, 100.0)]);
        assert_eq!(
            parts(&[5, 2, 0, 1], 10),
            [part("succeeded", 50.0, 50.0), part("refused", 30.0, 20.0), part("failed", 20.0, 10.0),]
        );
        assert_eq!(parts(&[0, 1, 0, 0], 100_000), [part("refused", 98.5, 1.5)]);
        assert_eq!(parts(&[0; 4], 0), []);
    }

    #[test]
    fn every_outcome_belongs_to_a_group() {
        let groups = SessionOutcome::ALL.map(|outcome| GROUPS[group(outcome)]);
        assert_eq!(groups, ["succeeded", "refused", "not_permitted", "not_permitted", "failed", "failed", "failed"]);
    }

    #[test]
    fn hours_before_the_start_are_not_counted_and_said_to_be_so() {
        let looks = Looks::built_in().parts();
        let texts = looks.texts("en").unwrap();
        let chart = Chart::new(&[], texts);
        assert_eq!((chart.bars.len(), chart.rows.len(), chart.is_empty), (24, 0, true));
        assert!(chart.bars.iter().all(|bar| bar.title.is_none()));
    }
}
