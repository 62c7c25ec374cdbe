//! The same checks by [wrk](https://github.com/wg/wrk), a load generator that needs a fraction of the processor that ours does: what
//! the servers cost is a larger part of the whole.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::Result;

/// Returns whether the program is there.
pub(crate) async fn is_installed() -> bool {
    let version = Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    version.is_ok()
}

/// Requests a second that are answered with success, over this many connections.
pub(crate) async fn rate(
    address: SocketAddr,
    path: &str,
    token: &str,
    connections: usize,
    duration: Duration,
) -> Result<f64> {
    let mut wrk = Command::new("wrk");
    // One thread, because the servers need the other cores.
    wrk.args(["--threads", "1", "--connections", &connections.to_string()]);
    wrk.args(["--duration", &format!("{}s", duration.as_secs())]);
    wrk.args(["--header", &format!("x-access-token: {token}"), &format!("http://{address}{path}")]);
    let output = wrk.output().await?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() || text.contains("Non-2xx") {
        return Err(format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(rate.ok_or("wrk printed no rate")?.trim().parse()?)
}
