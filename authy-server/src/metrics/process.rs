//! What the operating system knows about this process, under the names that all programs use.

use std::fmt;

use super::family::Families;

/// Writes the memory, the open files, the processor time and the start of this process. On other systems than Linux, and
/// where `/proc` cannot be read, nothing.
#[cfg(target_os = "linux")]
pub(super) fn write(out: &mut Families<'_>) -> fmt::Result {
    use std::time::{Duration, SystemTime};

    use procfs::process::{LimitValue, Process};
    use prometheus_client::registry::Unit;

    use super::family::NO_LABELS;

    let Ok(process) = Process::myself() else { return Ok(()) };
    if let Ok(stat) = process.stat() {
        let ticks = |ticks: u64| Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
        let cpu = ticks(stat.utime.saturating_add(stat.stime));
        out.seconds_total("process_cpu", "Processor time of the process, in user and in system mode", cpu)?;
        let memory = stat.rss.saturating_mul(procfs::page_size());
        let help = "Memory of the process that is in RAM";
        out.gauge("process_resident_memory", Some(&Unit::Bytes), help, [(NO_LABELS, memory)])?;
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(boot) + ticks(stat.starttime);
            out.time("process_start_time", "Start of the process, in seconds since 1970", start)?;
        }
    }
    if let Ok(open) = process.fd_count() {
        out.number("process_open_fds", "Open file descriptors of the process", open)?;
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(max) = limits.max_open_files.soft_limit
    {
        out.gauge("process_max_fds", None, "Maximum number of open file descriptors", [(NO_LABELS, max)])?;
    }
    Ok(())
}

/// Writes nothing: only Linux is asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn write(_: &mut Families<'_>) -> fmt::Result {
    Ok(())
}
