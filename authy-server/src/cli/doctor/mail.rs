//! The mail server: a connection with TLS and the login, and no mail.

use authy_core::error::chain;

use super::finding::Finding;
use crate::{config::Settings, sink::Mailer};

const AREA: &str = "mail";

pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    let Some(url) = &settings.smtp_url else { return vec![without_server(settings)] };
    let address = url.address();
    let remedy = "correct AUTHY_SMTP_URL, or the login, the certificate or the network";
    let checked = match Mailer::smtp_with_roots(url, &settings.roots()) {
        Ok(mailer) => mailer.check().await.map_err(|error| error.describe()),
        Err(error) => Err(chain(&error)),
    };
    let mut findings = vec![match checked {
        Ok(()) => Finding::ok(AREA, format!("{address} accepts the connection, and the login if there is one")),
        Err(why) => Finding::problem(AREA, format!("{address}: {why}"), remedy),
    }];
    if settings.reset_url.is_none() && !has_pages(settings) {
        findings.push(Finding::warning(
            AREA,
            "AUTHY_RESET_URL is left out, so that mails contain a bare code to set a password with",
            "set it to the page of your program that sets a new password",
        ));
    }
    findings
}

/// Returns whether the server has a page that sets a new password.
fn has_pages(settings: &Settings) -> bool {
    #[cfg(feature = "ui")]
    return settings.ui;
    #[cfg(not(feature = "ui"))]
    {
        let _ = settings;
        false
    }
}

fn without_server(settings: &Settings) -> Finding {
    match settings.database_url {
        Some(_) => Finding::warning(
            AREA,
            "no mails are sent: users cannot confirm an address or reset a password",
            "set AUTHY_SMTP_URL and AUTHY_MAIL_FROM",
        ),
        None => Finding::ok(AREA, format!("mails are files in {}", settings.data_dir.join("mail").display())),
    }
}
