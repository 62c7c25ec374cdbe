//! A connection to RabbitMQ: declares the exchange and the queue, publishes messages and waits for their confirmation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use authy_core::{
    api::{event::EventView, message::EventMessage},
    engine::DeliveryError,
    time::unix_seconds,
    tls::Roots,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Error, ErrorKind, ExchangeKind,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
    runtime::default_runtime,
    tcp::OwnedTLSConfig,
    types::{AMQPValue, FieldTable},
    uri::AMQPScheme,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;

use crate::asyncapi::{EXCHANGE, QUEUE};

use super::url::AmqpUrl;

/// Maximum number of unconfirmed messages: RabbitMQ confirms once it has written to disk, many at a time.
pub(super) const MESSAGES_IN_FLIGHT: usize = 256;

/// The delivery mode of messages that RabbitMQ writes to disk before it confirms them.
const PERSISTENT: u8 = 2;

pub(super) struct BrokerConnection {
    connection: Connection,
    /// Channels without an unconfirmed message. Each carries one message at a time: with several, a returned message
    /// could not be told from those that are confirmed after it, and an unroutable one would count as delivered.
    idle: Mutex<Vec<Channel>>,
    /// Limits the number of channels.
    room: Semaphore,
}

impl BrokerConnection {
    /// Connects, and declares the exchange and the queue.
    pub(super) async fn open(url: &AmqpUrl, roots: &Roots) -> Result<Self, DeliveryError> {
        let connection = connect(url, roots).await?;
        declare(&connection).await?;
        let most = match connection.configuration().channel_max() {
            0 => MESSAGES_IN_FLIGHT,
            most => MESSAGES_IN_FLIGHT.min(usize::from(most)),
        };
        tracing::info!(broker = url.address(), "connected to RabbitMQ");
        Ok(Self { connection, idle: Mutex::default(), room: Semaphore::new(most) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Publishes an event with these headers; returns when RabbitMQ has confirmed it.
    pub(super) async fn publish(
        &self,
        event: &EventView,
        headers: Vec<(&'static str, String)>,
    ) -> Result<(), DeliveryError> {
        if self.connection.status().blocked() {
            return Err(DeliveryError::retryable(
                "RabbitMQ accepts no messages now: it is short of memory or disk space",
            ));
        }
        let body = serde_json::to_vec(&EventMessage::new(event.clone()));
        let body = body.map_err(|error| DeliveryError::retryable("a message cannot be written").with_source(error))?;
        let _room = self.room.acquire().await.map_err(|_| DeliveryError::retryable("the connection is closed"))?;
        let idle = self.idle().pop();
        let channel = match idle {
            Some(channel) => channel,
            None => open_channel(&self.connection).await?,
        };
        // After a failure the channel is dropped: it is not known whether its message was taken.
        send(&channel, event, headers, &body).await?;
        self.idle().push(channel);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn connect(url: &AmqpUrl, roots: &Roots) -> Result<Connection, DeliveryError> {
    let properties = ConnectionProperties::default().with_connection_name("authy".into());
    let (runtime, uri) = (default_runtime().map_err(no_connection)?, url.0.clone());
    let cert_chain = match uri.scheme {
        AMQPScheme::AMQP => None,
        AMQPScheme::AMQPS => Some(pem(roots)?),
    };
    let tls = OwnedTLSConfig { identity: None, cert_chain };
    Connection::connect_uri_with_config(uri, properties, tls, runtime).await.map_err(no_connection)
}

/// Returns the certificate authorities in the form that the library needs. It loads the platform's itself, in the same
/// way, and needs at least one.
fn pem(roots: &Roots) -> Result<String, DeliveryError> {
    let refused = |error| DeliveryError::retryable("TLS to RabbitMQ cannot be set up").with_source(error);
    let certificates = roots.certificates().map_err(refused)?;
    let block = |certificate: &CertificateDer<'_>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(certificate))
    };
    Ok(certificates.iter().map(block).collect())
}

/// Opens a channel whose messages are confirmed.
pub(super) async fn open_channel(connection: &Connection) -> Result<Channel, DeliveryError> {
    let failed = |error| because("RabbitMQ opens no channel", &error);
    let channel = connection.create_channel().await.map_err(failed)?;
    channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
    Ok(channel)
}

async fn send(
    channel: &Channel,
    event: &EventView,
    headers: Vec<(&'static str, String)>,
    body: &[u8],
) -> Result<(), DeliveryError> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event.event_id.to_string().into())
        .with_type(event.kind.as_str().into())
        .with_timestamp(unix_seconds(event.happened))
        .with_content_type(EventMessage::CONTENT_TYPE.into())
        .with_app_id("authy".into());
    let properties = match headers.is_empty() {
        true => properties,
        false => properties.with_headers(table(headers)),
    };
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let failed = |error| because("RabbitMQ has not taken a message", &error);
    let confirm = channel.basic_publish(EXCHANGE.into(), event.kind.as_str().into(), options, body, properties);
    match confirm.await.map_err(failed)?.await.map_err(failed)? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            Err(DeliveryError::retryable("no queue accepts the message: the queue or its binding has been deleted"))
        }
        Confirmation::Nack(None) => {
            Err(DeliveryError::retryable("RabbitMQ refuses the message: a queue is full, or has failed"))
        }
        Confirmation::NotRequested => Err(DeliveryError::retryable("RabbitMQ confirms nothing")),
    }
}

fn table(headers: Vec<(&'static str, String)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    table
}

/// Declares the exchange, and a queue that takes every event, so that no event is unroutable. Each declaration has its
/// own channel, because RabbitMQ closes a channel on which it refuses one.
///
/// Where authy has no permission to declare, an operator must have declared both; otherwise publishing fails.
async fn declare(connection: &Connection) -> Result<(), DeliveryError> {
    let channel = async || connection.create_channel().await;
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = async {
        channel().await?.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, exchange, FieldTable::default()).await
    };
    match declared.await {
        Err(error) if !is(&error, AMQPSoftError::ACCESSREFUSED) => {
            let reason = match is(&error, AMQPSoftError::PRECONDITIONFAILED) {
                true => "there is an exchange `authy.events` of another type: delete it",
                false => "the exchange `authy.events` cannot be declared",
            };
            return Err(because(reason, &error));
        }
        _ => {}
    }
    let queue = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = async { channel().await?.queue_declare(QUEUE.into(), queue, FieldTable::default()).await.map(drop) };
    match declared.await {
        // A queue with other properties is accepted: an operator may want a quorum queue, or a limit on its length.
        Err(error) if !is(&error, AMQPSoftError::ACCESSREFUSED) && !is(&error, AMQPSoftError::PRECONDITIONFAILED) => {
            return Err(because("the queue `authy.audit` cannot be declared", &error));
        }
        _ => {}
    }
    let bind = QueueBindOptions::default();
    let bound = async {
        channel().await?.queue_bind(QUEUE.into(), EXCHANGE.into(), "#".into(), bind, FieldTable::default()).await
    };
    match bound.await {
        Err(error) if !is(&error, AMQPSoftError::ACCESSREFUSED) => {
            Err(because("the queue `authy.audit` cannot be bound to the exchange", &error))
        }
        _ => Ok(()),
    }
}

/// Returns whether RabbitMQ closed a channel for this reason.
pub(super) fn is(error: &Error, wanted: AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == AMQPErrorKind::Soft(wanted.clone()))
}

fn no_connection(error: Error) -> DeliveryError {
    let reason = match error.kind() {
        ErrorKind::ProtocolError(protocol) => match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => "RabbitMQ refuses the name or the password",
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => "RabbitMQ refuses access to the virtual host",
            _ => "RabbitMQ refuses the connection",
        },
        ErrorKind::IOError(_) => "RabbitMQ cannot be reached",
        _ => "there is no connection to RabbitMQ",
    };
    because(reason, &error)
}

/// Returns a failure with the library's message, which repeats its causes and contains no password.
pub(super) fn because(reason: &'static str, error: &Error) -> DeliveryError {
    DeliveryError::retryable(reason).with_source(error.to_string())
}
