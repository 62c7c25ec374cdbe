//! The free space of the data folder.

use std::path::Path;

use rustix::fs::statvfs;

use super::finding::Finding;
use crate::config::Settings;

const AREA: &str = "disk";

/// Free space in bytes below which PostgreSQL is close to stopping: its log of writes comes in files of 16 MiB.
const PROBLEM_BYTES: u64 = 100 << 20;

/// Free space in bytes below which an operator should act.
const WARNING_BYTES: u64 = 1 << 30;

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    match settings.database_url {
        // Then the folder is not used.
        Some(_) => Vec::new(),
        None => vec![finding(&settings.data_dir)],
    }
}

fn finding(folder: &Path) -> Finding {
    // It is created at the first start, in the nearest folder that exists.
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let existing = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(&absolute);
    let shown = folder.display();
    match statvfs(existing) {
        Ok(system) => of_free(&shown.to_string(), system.f_bavail.saturating_mul(system.f_frsize)),
        Err(error) => Finding::problem(
            AREA,
            format!("the free space of {shown} (AUTHY_DATA_DIR) cannot be read: {error}"),
            "look at the permissions of the folder",
        ),
    }
}

fn of_free(folder: &str, free: u64) -> Finding {
    let message = format!("{} MiB are free in {folder} (AUTHY_DATA_DIR)", free >> 20);
    let remedy = "make room, or move the data folder: without room PostgreSQL stops";
    match free {
        free if free < PROBLEM_BYTES => Finding::problem(AREA, message, remedy),
        free if free < WARNING_BYTES => Finding::warning(AREA, message, remedy),
        _ => Finding::ok(AREA, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::FindingLevel;

    #[test]
    fn little_room_is_found_before_there_is_none() {
        for (free, level) in
            [(0, FindingLevel::Problem), (200 << 20, FindingLevel::Warning), (9 << 30, FindingLevel::Ok)]
        {
            assert_eq!(of_free("x", free).level, level);
        }
        let folder = tempfile::tempdir().unwrap();
        let finding = finding(&folder.path().join("not/yet/there"));
        assert!(finding.message.contains("MiB are free"), "{finding}");
    }
}
