//! Inspects RabbitMQ, and declares nothing.

use authy_core::{engine::DeliveryError, tls::Roots};
use lapin::{
    Connection, Error, ExchangeKind, Queue,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    protocol::AMQPSoftError,
    types::FieldTable,
};

use super::{
    connection::{because, connect, is, open_channel},
    url::AmqpUrl,
};
use crate::asyncapi::{EXCHANGE, QUEUE};

/// The state of RabbitMQ, for an operator.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerReport {
    /// Whether there is an exchange `authy.events`. Without it, the first event creates it.
    pub has_exchange: bool,
    /// The number of messages in the queue `authy.audit`; `None` when there is no such queue.
    pub queued: Option<u32>,
    /// The number of its consumers.
    pub consumers: u32,
}

/// Connects, opens a channel whose messages are confirmed, and looks for the exchange and the queue.
pub(super) async fn inspect(url: &AmqpUrl, roots: &Roots) -> Result<BrokerReport, DeliveryError> {
    let connection = connect(url, roots).await?;
    drop(open_channel(&connection).await?);
    let has_exchange = exchange(&connection).await?;
    let queue = queue(&connection).await?;
    let report = BrokerReport {
        has_exchange,
        queued: queue.as_ref().map(Queue::message_count),
        consumers: queue.as_ref().map_or(0, Queue::consumer_count),
    };
    // What was asked is known: a failure to say goodbye changes nothing.
    let _ = connection.close(200, "inspected".into()).await;
    Ok(report)
}

/// Each question has a channel of its own, because RabbitMQ closes one on which the answer is no.
async fn exchange(connection: &Connection) -> Result<bool, DeliveryError> {
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let asked = async {
        let channel = connection.create_channel().await?;
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default()).await
    };
    answer(asked.await, "the exchange `authy.events` cannot be looked for").map(|found| found.is_some())
}

async fn queue(connection: &Connection) -> Result<Option<Queue>, DeliveryError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = async {
        let channel = connection.create_channel().await?;
        channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await
    };
    answer(asked.await, "the queue `authy.audit` cannot be looked for")
}

fn answer<T>(asked: Result<T, Error>, reason: &'static str) -> Result<Option<T>, DeliveryError> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(error) if is(&error, AMQPSoftError::NOTFOUND) => Ok(None),
        Err(error) => Err(because(reason, &error)),
    }
}
