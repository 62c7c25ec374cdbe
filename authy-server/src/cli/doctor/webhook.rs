//! The webhook: a connection, with TLS where its URL says so, and no request.

use super::finding::Finding;
use crate::config::Settings;

const AREA: &str = "webhook";

pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    let Some(url) = &settings.webhook_url else {
        return vec![Finding::ok(AREA, "not used (AUTHY_WEBHOOK_URL)")];
    };
    vec![match url.check_connection(&settings.roots()).await {
        Ok(()) => Finding::ok(AREA, "the receiver accepts connections; no request was sent"),
        Err(error) => {
            let remedy = "correct AUTHY_WEBHOOK_URL, start the receiver, or correct its certificate";
            Finding::problem(AREA, error.describe(), remedy)
        }
    }]
}
