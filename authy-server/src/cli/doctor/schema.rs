//! The version of the schema, and the rights to use and to change it.

use authy_core::engine::DatabaseReport;

use super::finding::Finding;

const AREA: &str = "schema";

pub(super) fn finding(report: &DatabaseReport) -> Finding {
    let (newest, forbidden) = (report.newest_schema, report.forbidden_tables.join(", "));
    if !forbidden.is_empty() {
        let message = format!("the user of AUTHY_DATABASE_URL may not read or write {forbidden}");
        return Finding::problem(AREA, message, "grant SELECT, INSERT, UPDATE and DELETE, or connect as the owner");
    }
    let cannot = "the user of AUTHY_DATABASE_URL may not change it";
    match report.schema {
        Some(version) if version > newest => Finding::problem(
            AREA,
            format!("version {version} is newer than this program, which knows version {newest}"),
            "install the version of authy-server that created it, or a later one",
        ),
        Some(version) if version == newest => Finding::ok(AREA, format!("version {version}, which is the newest")),
        Some(version) if report.can_migrate => Finding::ok(
            AREA,
            format!("version {version}: the next start, or `authy-server migrate`, brings it to version {newest}"),
        ),
        Some(version) => Finding::problem(
            AREA,
            format!("version {version} is older than version {newest}, and {cannot}"),
            "run `authy-server migrate` as the owner of the schema",
        ),
        None if report.can_migrate => Finding::ok(AREA, "there is none yet: the first start creates it"),
        None => Finding::problem(
            AREA,
            "there is none, and the user of AUTHY_DATABASE_URL may not create one",
            "GRANT CREATE ON DATABASE … TO the user",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::FindingLevel;

    #[test]
    fn a_schema_is_created_brought_up_to_date_or_refused() {
        for (schema, can_migrate, level, expected) in [
            (Some(25), true, FindingLevel::Ok, "newest"),
            (Some(25), false, FindingLevel::Ok, "newest"),
            (Some(20), true, FindingLevel::Ok, "brings it to version 25"),
            (Some(20), false, FindingLevel::Problem, "may not change it"),
            (Some(26), true, FindingLevel::Problem, "newer than this program"),
            (None, true, FindingLevel::Ok, "creates it"),
            (None, false, FindingLevel::Problem, "may not create one"),
        ] {
            let mut report = DatabaseReport::default();
            (report.schema, report.newest_schema, report.can_migrate) = (schema, 25, can_migrate);
            let finding = finding(&report);
            assert!(finding.level == level && finding.message.contains(expected), "{schema:?}: {finding}");
        }
        let mut report = DatabaseReport::default();
        report.forbidden_tables = vec!["users".to_owned()];
        assert!(finding(&report).message.contains("may not read or write users"));
    }
}
