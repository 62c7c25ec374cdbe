//! RabbitMQ: a connection, a channel whose messages are confirmed, the exchange and the queue.

use super::finding::Finding;
use crate::{config::Settings, sink::Amqp};

const AREA: &str = "broker";

/// Number of messages that nobody takes from the queue, from which an operator should look.
const MANY_MESSAGES: u32 = 100_000;

pub(super) async fn findings(settings: &Settings) -> Vec<Finding> {
    let Some(url) = &settings.amqp_url else {
        return vec![Finding::ok(AREA, "not used (AUTHY_AMQP_URL)")];
    };
    let address = url.address();
    let report = match Amqp::new(url.clone()).with_roots(settings.roots()).inspect().await {
        Ok(report) => report,
        Err(error) => {
            let remedy = "correct AUTHY_AMQP_URL, or the user, its permissions or the network";
            return vec![Finding::problem(AREA, format!("{address}: {}", error.describe()), remedy)];
        }
    };
    let exchange = match report.has_exchange {
        true => "has the exchange authy.events",
        false => "will get the exchange authy.events with the first event",
    };
    let mut findings = vec![Finding::ok(AREA, format!("{address} confirms messages, and {exchange}"))];
    if let Some(queued) = report.queued {
        let message =
            format!("{queued} messages are in the queue authy.audit, which has {} consumers", report.consumers);
        findings.push(match queued > MANY_MESSAGES {
            true => Finding::warning(AREA, message, "consume the queue: authy waits when RabbitMQ has no room"),
            false => Finding::ok(AREA, message),
        });
    }
    findings
}
