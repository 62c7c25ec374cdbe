//! The database: whether it can be used, and what of it an operator should know.

use authy_core::{
    engine::{DatabaseReport, Pooler},
    error::chain,
};

use super::{CHECK_TIMEOUT, OWN_DATABASE_TIMEOUT, bounded, clock, finding::Finding, keys, schema};
use crate::{
    config::Settings,
    start::{BoxError, Database, Sharing},
};

const AREA: &str = "database";

/// The number of connections of a server besides those for transactions: for reads and revocations, and two for each of
/// its sinks.
const FURTHER_CONNECTIONS: usize = 5 + 2 * 4;

/// The oldest version of PostgreSQL that authy is tested with.
const OLDEST_VERSION: u32 = 130_000;

pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    if settings.database_url.is_none() && !settings.data_dir.join("postgres").exists() {
        let folder = settings.data_dir.display();
        return vec![Finding::ok(
            AREA,
            format!("there is none in {folder} yet: the first start of the server creates it"),
        )];
    }
    let limit = if settings.database_url.is_some() { CHECK_TIMEOUT } else { OWN_DATABASE_TIMEOUT };
    bounded(AREA, limit, async {
        match inspect(settings).await {
            Ok(report) => [
                of_report(&report, settings),
                vec![clock::finding(&report)],
                vec![schema::finding(&report)],
                keys::findings(&report, settings),
            ]
            .concat(),
            Err(error) => vec![Finding::problem(
                AREA,
                chain(&*error),
                "correct AUTHY_DATABASE_URL, or the user, the database or the firewall that the message is about",
            )],
        }
    })
    .await
}

async fn inspect(settings: &Settings) -> Result<DatabaseReport, BoxError> {
    let database = Database::open(settings, Sharing::Beside).await?;
    let report = database.engine(settings).inspect().await;
    database.close().await?;
    Ok(report?)
}

fn of_report(report: &DatabaseReport, settings: &Settings) -> Vec<Finding> {
    let encrypted = if report.is_encrypted { "encrypted" } else { "not encrypted" };
    let DatabaseReport { version, encoding, isolation, .. } = report;
    let summary = format!("PostgreSQL {version}, {encoding}, {isolation} by default, {encrypted}");
    let mut findings = vec![Finding::ok(AREA, summary)];
    let mut problem = |message: String, remedy: &str| findings.push(Finding::problem(AREA, message, remedy));
    if report.version_number < OLDEST_VERSION {
        problem(format!("PostgreSQL {version} is older than 13"), "upgrade PostgreSQL");
    }
    if encoding != "UTF8" {
        let remedy = "create the database with ENCODING 'UTF8' TEMPLATE template0";
        problem(format!("the encoding {encoding} cannot store every name"), remedy);
    }
    if report.is_standby {
        let remedy = "name the primary, or all hosts with target_session_attrs=read-write";
        problem("it is a standby, which takes no writes".to_owned(), remedy);
    }
    let (left, most) = (report.connections_left, report.max_connections);
    let needed = settings.database_connections.0 + FURTHER_CONNECTIONS;
    if usize::try_from(left).is_ok_and(|left| left < needed) {
        findings.push(Finding::warning(
            AREA,
            format!("{left} of {most} connections are left, and a server opens up to {needed}"),
            "raise max_connections, or the limit of the role or of the database; a server that runs has its own already",
        ));
    } else {
        findings.push(Finding::ok(AREA, format!("{left} of {most} connections are left")));
    }
    findings.push(durability(report));
    findings.extend(pooler(report, settings.database_pooler));
    findings.extend(issuer(report, settings));
    findings.extend(replica(report));
    findings.extend(fallback_hashes(report, settings));
    let is_remote = settings.database_url.as_ref().is_some_and(|url| !is_local(&url.config));
    // Behind a pooler it is the connection of the pooler that PostgreSQL sees.
    if is_remote && !report.is_encrypted && !report.has_pooler {
        findings.push(Finding::warning(
            AREA,
            "passwords and password hashes go to another machine without encryption",
            "use sslmode=verify-full, unless nobody else can listen on that network",
        ));
    }
    findings
}

/// Returns whether a server would start with the issuer that is configured, and whether it is the URL that verifiers expect.
fn issuer(report: &DatabaseReport, settings: &Settings) -> Option<Finding> {
    let kept = report.issuer.as_ref()?;
    match &settings.issuer {
        Some(configured) if configured != kept => Some(Finding::problem(
            AREA,
            format!("the issuer of tokens is {kept}, and AUTHY_ISSUER is {configured}: a server does not start"),
            "leave AUTHY_ISSUER out, or change the issuer with `authy-server issuer set`",
        )),
        None if settings.public_url.as_ref().is_some_and(|url| url.0.as_str() != kept) => Some(Finding::warning(
            AREA,
            format!(
                "the issuer of tokens is {kept} and not AUTHY_PUBLIC_URL, which services that verify tokens expect"
            ),
            "replace it with `authy-server issuer set`, or say that it is intended with AUTHY_ISSUER",
        )),
        _ => Some(Finding::ok(AREA, format!("the issuer of tokens is {kept}"))),
    }
}

/// Returns whether hashes are kept for the first authy that are weaker than those that are verified.
fn fallback_hashes(report: &DatabaseReport, settings: &Settings) -> Option<Finding> {
    let kept = report.fallback_hashes;
    match (settings.compat.is_some(), kept) {
        // As long as the setting is there, it is meant.
        (true, kept) => Some(Finding::note(
            AREA,
            format!("{kept} password hashes for the first authy are kept, weaker than argon2id, and new ones will be"),
            "once it will not be started again, leave out AUTHY_COMPAT and run `authy-server export --forget`",
        )),
        (false, 1..) => Some(Finding::warning(
            AREA,
            format!("{kept} password hashes for the first authy are still kept, weaker than argon2id"),
            "run `authy-server export --forget` once it will not be started again",
        )),
        (false, 0) => None,
    }
}

fn replica(report: &DatabaseReport) -> Option<Finding> {
    Some(match report.replica.as_ref()? {
        Ok(behind) => Finding::ok(AREA, format!("the standby for reads is {behind} bytes behind")),
        Err(why) => Finding::warning(
            AREA,
            format!("the standby for reads is not used: {why}"),
            "correct AUTHY_DATABASE_REPLICA_URL, or leave it out",
        ),
    })
}

/// Returns what the settings should say about a pooler.
fn pooler(report: &DatabaseReport, setting: Pooler) -> Option<Finding> {
    match (report.has_pooler, setting) {
        (true, Pooler::Auto) => Some(Finding::warning(
            AREA,
            "a pooler is in front of PostgreSQL, which each server has to find out",
            "set AUTHY_DATABASE_POOLER=transaction, or session when that is its mode",
        )),
        (false, Pooler::Transaction) => Some(Finding::warning(
            AREA,
            "AUTHY_DATABASE_POOLER is transaction, which is slower, and there is no pooler",
            "leave AUTHY_DATABASE_POOLER out",
        )),
        (true, setting) => Some(Finding::ok(AREA, format!("a pooler is in front of PostgreSQL, in {setting} mode"))),
        (false, _) => None,
    }
}

fn durability(report: &DatabaseReport) -> Finding {
    let DatabaseReport { synchronous_commit, synchronous_standby_names: names, standbys, .. } = report;
    // authy sets it to `on`, whatever the default is.
    let commit = if synchronous_commit == "remote_apply" { synchronous_commit } else { "on" };
    match names.is_empty() {
        true if *standbys > 0 => Finding::warning(
            AREA,
            format!("{standbys} standbys are connected and none is synchronous: a failover loses the last writes"),
            "name them in synchronous_standby_names, or accept that",
        ),
        true => Finding::ok(AREA, format!("synchronous_commit is {commit}; no standby is connected")),
        false if *standbys == 0 => Finding::problem(
            AREA,
            "commits wait for a synchronous standby, and none is connected",
            "start the standby, or empty synchronous_standby_names",
        ),
        false => Finding::ok(
            AREA,
            format!("synchronous_commit is {commit}; {standbys} standbys are connected, {names} synchronous"),
        ),
    }
}

fn is_local(config: &tokio_postgres::Config) -> bool {
    use tokio_postgres::config::Host;
    let hosts = config.get_hosts().iter().skip(config.get_hostaddrs().len());
    let mut names = hosts.map(|host| match host {
        Host::Tcp(name) => name.as_str(),
        Host::Unix(_) => "/",
    });
    names.all(authy_core::encryption::is_local) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::doctor::FindingLevel, config::Sources};

    fn report() -> DatabaseReport {
        let mut report = DatabaseReport::default();
        report.version = "16.2".to_owned();
        report.version_number = 160_002;
        report.encoding = "UTF8".to_owned();
        report.synchronous_commit = "on".to_owned();
        (report.connections_left, report.max_connections) = (90, 100);
        report
    }

    /// The worst findings about a report.
    fn worst(report: &DatabaseReport) -> Vec<Finding> {
        worst_with(report, &[])
    }

    fn worst_with(report: &DatabaseReport, flags: &[(&str, &str)]) -> Vec<Finding> {
        let mut sources = Sources::default();
        sources.flags.extend(flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let findings = of_report(report, &sources.settings().unwrap().1);
        findings.into_iter().filter(|finding| finding.level != FindingLevel::Ok).collect()
    }

    #[test]
    fn an_issuer_that_is_not_the_public_url_is_found_unless_it_is_intended() {
        let mut report = report();
        report.issuer = Some("https://old.example".to_owned());
        let (new, old) = (("public_url", "https://new.example"), ("public_url", "https://old.example"));
        let found = worst_with(&report, &[new]);
        assert!(
            matches!(&found[..], [finding] if finding.level == FindingLevel::Warning
                && finding.message.contains("https://old.example and not AUTHY_PUBLIC_URL")),
            "{found:?}"
        );
        assert_eq!(worst_with(&report, &[old]), []);
        assert_eq!(worst_with(&report, &[new, ("issuer", "https://old.example")]), []);
    }

    #[test]
    fn what_is_wrong_with_a_database_is_found() {
        assert_eq!(worst(&report()), []);
        type Change = fn(&mut DatabaseReport);
        let changes: [(Change, FindingLevel, &str); 8] = [
            (|report| report.fallback_hashes = 12, FindingLevel::Warning, "12 password hashes"),
            (|report| report.version_number = 120_017, FindingLevel::Problem, "older than 13"),
            (|report| report.encoding = "SQL_ASCII".to_owned(), FindingLevel::Problem, "SQL_ASCII"),
            (|report| report.is_standby = true, FindingLevel::Problem, "no writes"),
            (|report| report.connections_left = 3, FindingLevel::Warning, "3 of 100"),
            (|report| report.standbys = 2, FindingLevel::Warning, "none is synchronous"),
            (|report| report.synchronous_standby_names = "a".to_owned(), FindingLevel::Problem, "none is connected"),
            (|report| report.has_pooler = true, FindingLevel::Warning, "pooler"),
        ];
        for (change, level, expected) in changes {
            let mut changed = report();
            change(&mut changed);
            let found = worst(&changed);
            assert!(
                matches!(&found[..], [finding] if finding.level == level && finding.message.contains(expected)
                    && finding.remedy.is_some()),
                "{expected}: {found:?}"
            );
        }
    }
}
