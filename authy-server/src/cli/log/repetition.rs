//! Storms of the same warning: the first is written, the others are counted. While the database is away, each request
//! would otherwise be a line that says so.
//!
//! Nothing that matters for security is lost by it: that is in the audit trail.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tracing::{
    Event, Level, Metadata,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Filter};

/// Interval at which repetitions are reported: short enough to see how a failure goes on, and 120 lines per hour at most.
const INTERVAL: Duration = Duration::from_secs(30);

/// Maximum number of messages that are known by their text; far more than the program has. Further ones are known by
/// their place in the source, of which there are few.
const MAX_TEXTS: usize = 256;

/// Maximum length of the text of a message, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// The target of the reports themselves, which are never counted.
const REPORT: &str = module_path!();

/// Counts the warnings and errors that have been written already. Clones share the counts.
#[derive(Clone, Default)]
pub(in crate::cli) struct Repetitions(Arc<Mutex<HashMap<(Identifier, String), Repetition>>>);

struct Repetition {
    metadata: &'static Metadata<'static>,
    text: String,
    /// The number of times that it was left out since the last report.
    count: u64,
}

impl Repetitions {
    /// Reports at regular intervals. Does not return.
    pub(in crate::cli) async fn report_at_intervals(self) {
        loop {
            sleep(INTERVAL).await;
            self.report();
        }
    }

    /// Writes a line for each message that was left out since the last report. A message that did not come again is
    /// written when it comes the next time.
    pub(in crate::cli) fn report(&self) {
        let mut repeated = Vec::new();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, repetition| {
            let count = std::mem::take(&mut repetition.count);
            if count > 0 {
                repeated.push((repetition.metadata, repetition.text.clone(), count));
            }
            count > 0
        });
        // Written without the lock, which the report itself takes as well.
        drop(known);
        for (metadata, text, count) in repeated {
            let source = metadata.target();
            match *metadata.level() {
                Level::ERROR => tracing::error!(source, count, "repeated: {text}"),
                _ => tracing::warn!(source, count, "repeated: {text}"),
            }
        }
    }

    /// Returns whether a message is written, or else counts it.
    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == REPORT {
            return true;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let text = text.0;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (metadata.callsite(), text.clone());
        if known.len() >= MAX_TEXTS && !known.contains_key(&key) {
            key.1.clear();
        }
        match known.get_mut(&key) {
            Some(repetition) => {
                repetition.count += 1;
                false
            }
            None => {
                known.insert(key, Repetition { metadata, text, count: 0 });
                true
            }
        }
    }
}

impl<S> Filter<S> for Repetitions {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.admits(event)
    }
}

/// The text of a message, with the fields that say what is wrong. Not those that differ each time, such as the ID of the
/// request.
#[derive(Default)]
struct Text(String);

impl Text {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing into memory cannot fail.
        let _ = match field.name() {
            "message" => self.0.write_fmt(value),
            name @ ("detail" | "error" | "kind" | "reason" | "sink") => write!(self.0, " {name}={value}"),
            _ => Ok(()),
        };
        self.0.truncate(self.0.floor_char_boundary(MAX_TEXT_BYTES));
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::{Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        /// Takes the lines so far, without the time and the level.
        fn take(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs by this until the guard is dropped.
    fn log() -> (Repetitions, Written, tracing::subscriber::DefaultGuard) {
        let (repetitions, written) = (Repetitions::default(), Written::default());
        let writer = written.clone();
        let layer = fmt::layer().with_ansi(false).without_time().with_target(false);
        let layer = layer.with_writer(move || writer.clone()).with_filter(repetitions.clone());
        let guard = tracing_subscriber::registry().with(layer).set_default();
        (repetitions, written, guard)
    }

    fn away(request: u32) {
        tracing::warn!(request_id = request, kind = "unavailable", "could not answer a request");
    }

    #[test]
    fn a_storm_is_its_first_line_and_a_count() {
        let (repetitions, written, _guard) = log();
        (0..2565).for_each(away);
        assert_eq!(written.take(), [" WARN could not answer a request request_id=0 kind=\"unavailable\""]);
        repetitions.report();
        let report = "repeated: could not answer a request kind=unavailable";
        let source = module_path!();
        assert_eq!(written.take(), [format!(" WARN {report} source=\"{source}\" count=2564")]);
        (0..10).for_each(away);
        assert_eq!(written.take(), Vec::<String>::new(), "the storm goes on");
        repetitions.report();
        assert_eq!(written.take(), [format!(" WARN {report} source=\"{source}\" count=10")]);
        repetitions.report();
        assert_eq!(written.take(), Vec::<String>::new());
        away(3);
        assert_eq!(written.take(), [" WARN could not answer a request request_id=3 kind=\"unavailable\""]);
    }

    #[test]
    fn what_differs_in_its_cause_is_written() {
        let (_, written, _guard) = log();
        for kind in ["unavailable", "overloaded", "unavailable"] {
            tracing::warn!(request_id = 1, kind, "could not answer a request");
        }
        tracing::error!("failed to answer a request");
        assert_eq!(written.take().len(), 3);
    }

    #[test]
    fn messages_below_a_warning_are_all_written() {
        let (repetitions, written, _guard) = log();
        (0..10).for_each(|_| tracing::info!("request"));
        repetitions.report();
        assert_eq!(written.take().len(), 10);
    }

    #[test]
    fn a_storm_of_different_texts_is_bounded_too() {
        let (repetitions, written, _guard) = log();
        for number in 0..10_000 {
            tracing::warn!("the {}th of many: {}", number, "x".repeat(300));
        }
        assert_eq!(written.take().len(), MAX_TEXTS + 1);
        let known = repetitions.0.lock().unwrap();
        assert!(known.len() <= MAX_TEXTS + 1 && known.values().all(|known| known.text.len() <= MAX_TEXT_BYTES));
        drop(known);
        repetitions.report();
        let reported = written.take();
        assert!(reported.len() == 1 && reported[0].ends_with("count=9743"), "{reported:?}");
    }
}
