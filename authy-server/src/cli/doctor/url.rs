//! The addresses by which users and services know the server.

use authy_core::{encryption::is_local, http_url::HttpUrl};

use super::finding::Finding;
use crate::{
    cli::in_force,
    config::{ListenAddress, Settings},
};

const AREA: &str = "url";

pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let in_force = in_force::urls(settings);
    let mut findings = of_url("the issuer of a new database", "AUTHY_ISSUER", &in_force.issuer, settings);
    if in_force.public_url != in_force.issuer {
        findings.extend(of_url("the URL in mails", "AUTHY_PUBLIC_URL", &in_force.public_url, settings));
    }
    findings
}

fn of_url(what: &str, variable: &str, text: &str, settings: &Settings) -> Vec<Finding> {
    let Ok(url) = text.parse::<HttpUrl>() else {
        let message = format!("{what} is {text}, which is no URL: verifiers cannot find the public keys by it");
        let remedy = format!("set {variable} to the https URL of this server, unless that is intended");
        return vec![Finding::warning(AREA, message, remedy)];
    };
    let message = format!("{what} is {text}");
    if ["0.0.0.0", "[::]"].contains(&url.host()) {
        let remedy = format!("set {variable}: it stands for all addresses of this machine, and for none elsewhere");
        return vec![Finding::problem(AREA, message, remedy)];
    }
    // A server with a database of its own that only this machine reaches is a trial.
    let listens_everywhere = settings.listen.0.iter().any(ListenAddress::is_unspecified);
    let is_trial = settings.database_url.is_none() && !listens_everywhere;
    match (url.is_https(), is_local(url.host())) {
        (true, _) => vec![Finding::ok(AREA, message)],
        (false, true) if is_trial => vec![Finding::ok(AREA, message)],
        (false, true) => vec![Finding::warning(
            AREA,
            format!("{message}, which no other machine reaches"),
            format!("set {variable} to the https URL that users and services use"),
        )],
        (false, false) => vec![Finding::warning(
            AREA,
            format!("{message}: passwords and tokens go there without encryption"),
            format!(
                "put a proxy that terminates https in front of the server, or set AUTHY_TLS_CERT, and set {variable} to the https URL"
            ),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::doctor::FindingLevel, config::Sources};

    #[test]
    fn a_url_that_others_cannot_use_is_found() {
        for (issuer, listen, database, level) in [
            (Some("https://auth.example"), "0.0.0.0:8080", true, FindingLevel::Ok),
            (None, "127.0.0.1:8080", false, FindingLevel::Ok),
            (None, "0.0.0.0:8080", false, FindingLevel::Warning),
            (None, "[::]:8080", false, FindingLevel::Warning),
            (Some("http://0.0.0.0:8080"), "0.0.0.0:8080", false, FindingLevel::Problem),
            (None, "127.0.0.1:8080", true, FindingLevel::Warning),
            (Some("http://auth.example"), "127.0.0.1:8080", false, FindingLevel::Warning),
            (Some("shop"), "127.0.0.1:8080", false, FindingLevel::Warning),
        ] {
            let mut sources = Sources::default();
            sources.flags.insert("listen".to_owned(), listen.to_owned());
            if let Some(issuer) = issuer {
                sources.flags.insert("issuer".to_owned(), issuer.to_owned());
            }
            if database {
                let url = "postgresql://localhost/x".to_owned();
                sources.environment.insert("AUTHY_DATABASE_URL".to_owned(), url);
            }
            let found = findings(&sources.settings().unwrap().1);
            let worst = found.iter().map(|finding| finding.level).max();
            assert_eq!(worst, Some(level), "{issuer:?} {listen}: {found:?}");
        }
    }
}
