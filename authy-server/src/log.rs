//! What may be logged.

use tracing::{Level, Metadata};

/// Returns whether a message may be logged. Messages of libraries that contain secrets may not, at any level of the
/// log.
///
/// The server's own log has this filter. A program that embeds the server and logs at `debug` or `trace` needs it as
/// well: `layer.with_filter(filter_fn(may_be_logged))`.
pub fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let loudest = match metadata.target() {
        // The driver writes the parameters of statements below this level, password hashes among them.
        target if target.starts_with("tokio_postgres") => Level::INFO,
        // Both log returned messages in full, and at the lowest level the password. The relay logs failures; a broker
        // that does not permit declarations is not a failure.
        target if target.starts_with("lapin") || target.starts_with("amq_protocol") => return false,
        // The command `migrate` prints what was applied.
        target if target.starts_with("refinery") => Level::WARN,
        _ => Level::TRACE,
    };
    *metadata.level() <= loudest
}
