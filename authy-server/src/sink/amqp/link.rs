//! A connection to RabbitMQ: what is declared on it, and how a message is published and confirmed.

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
    types::FieldTable,
    uri::AMQPScheme,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;

use super::{AmqpUrl, EXCHANGE, IN_FLIGHT, QUEUE};

/// A message that has to be written to disk before it is confirmed.
const PERSISTENT: u8 = 2;

pub(super) struct Link {
    connection: Connection,
    /// Channels on which nothing is on its way. On each there is one message at a time: RabbitMQ says only "one came back"
    /// and then "the next ones are confirmed", so with several on their way nobody could tell for sure which one came back,
    /// and one that went nowhere would count as told.
    idle: Mutex<Vec<Channel>>,
    /// As many as there can be channels.
    room: Semaphore,
}

impl Link {
    /// Connects, and declares what is needed.
    pub(super) async fn open(url: &AmqpUrl, roots: &Roots) -> Result<Self, DeliveryError> {
        let properties = ConnectionProperties::default().with_connection_name("authy".into());
        let (runtime, uri) = (default_runtime().map_err(no_connection)?, url.0.clone());
        let cert_chain = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(pem(roots)?),
        };
        let tls = OwnedTLSConfig { identity: None, cert_chain };
        let connection = Connection::connect_uri_with_config(uri, properties, tls, runtime);
        let connection = connection.await.map_err(no_connection)?;
        declare(&connection).await?;
        let most = match connection.configuration().channel_max() {
            0 => IN_FLIGHT,
            most => IN_FLIGHT.min(usize::from(most)),
        };
        tracing::info!(broker = url.address(), "connected to RabbitMQ");
        Ok(Self { connection, idle: Mutex::default(), room: Semaphore::new(most) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// Publishes an event; `Ok` once RabbitMQ has confirmed that it keeps it.
    pub(super) async fn publish(&self, event: &EventView) -> Result<(), DeliveryError> {
        if self.connection.status().blocked() {
            return Err(DeliveryError::retryable("RabbitMQ takes nothing now: it is short of memory or of disk space"));
        }
        let body = serde_json::to_vec(&EventMessage::new(event.clone()));
        let body = body.map_err(|error| DeliveryError::retryable("a message cannot be written").with_source(error))?;
        let _room = self.room.acquire().await.map_err(|_| DeliveryError::retryable("the connection is closed"))?;
        let idle = self.idle().pop();
        let channel = match idle {
            Some(channel) => channel,
            None => open_channel(&self.connection).await?,
        };
        // On failure the channel is not put back: what became of its message is not known.
        send(&channel, event, &body).await?;
        self.idle().push(channel);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Certificate authorities as the library takes them. It loads the platform's by itself, in the same way, and wants at least one.
fn pem(roots: &Roots) -> Result<String, DeliveryError> {
    let refused = |error| DeliveryError::retryable("TLS to RabbitMQ cannot be set up").with_source(error);
    let certificates = roots.certificates().map_err(refused)?;
    let block = |certificate: &CertificateDer<'_>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(certificate))
    };
    Ok(certificates.iter().map(block).collect())
}

async fn open_channel(connection: &Connection) -> Result<Channel, DeliveryError> {
    let failed = |error| because("RabbitMQ opens no channel", &error);
    let channel = connection.create_channel().await.map_err(failed)?;
    channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
    Ok(channel)
}

async fn send(channel: &Channel, event: &EventView, body: &[u8]) -> Result<(), DeliveryError> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(event.event_id.to_string().into())
        .with_type(event.kind.as_str().into())
        .with_timestamp(unix_seconds(event.happened))
        .with_content_type(EventMessage::CONTENT_TYPE.into())
        .with_app_id("authy".into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let failed = |error| because("RabbitMQ has not taken a message", &error);
    let confirm = channel.basic_publish(EXCHANGE.into(), event.kind.as_str().into(), options, body, properties);
    match confirm.await.map_err(failed)?.await.map_err(failed)? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
            Err(DeliveryError::retryable("no queue takes the message: somebody has deleted the queue or its binding"))
        }
        Confirmation::Nack(None) => {
            Err(DeliveryError::retryable("RabbitMQ refuses the message: a queue is full, or has failed"))
        }
        Confirmation::NotRequested => Err(DeliveryError::retryable("RabbitMQ confirms nothing")),
    }
}

/// Declares the exchange, and a queue that takes everything, so that no event is without a place to go to. Each on a channel of
/// its own, which RabbitMQ closes when it says no.
///
/// Where authy is not allowed to declare, somebody else has: when they have not, publishing fails.
async fn declare(connection: &Connection) -> Result<(), DeliveryError> {
    let channel = async || connection.create_channel().await;
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = async {
        channel().await?.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, exchange, FieldTable::default()).await
    };
    match declared.await {
        Err(error) if !is(&error, AMQPSoftError::ACCESSREFUSED) => {
            let reason = match is(&error, AMQPSoftError::PRECONDITIONFAILED) {
                true => "there is an exchange `authy.events` of another kind: it has to be deleted",
                false => "the exchange `authy.events` cannot be declared",
            };
            return Err(because(reason, &error));
        }
        _ => {}
    }
    let queue = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = async { channel().await?.queue_declare(QUEUE.into(), queue, FieldTable::default()).await.map(drop) };
    match declared.await {
        // One of another kind will do: whoever runs the broker may want a quorum queue, or a bound on its length.
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

fn is(error: &Error, wanted: AMQPSoftError) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == AMQPErrorKind::Soft(wanted.clone()))
}

fn no_connection(error: Error) -> DeliveryError {
    let reason = match error.kind() {
        ErrorKind::ProtocolError(protocol) => match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => "RabbitMQ refuses the name or the password",
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => "RabbitMQ does not let us into the virtual host",
            _ => "RabbitMQ refuses the connection",
        },
        ErrorKind::IOError(_) => "RabbitMQ cannot be reached",
        _ => "there is no connection to RabbitMQ",
    };
    because(reason, &error)
}

/// The library's errors repeat their causes, so one line of theirs is enough. They name no password.
fn because(reason: &'static str, error: &Error) -> DeliveryError {
    DeliveryError::retryable(reason).with_source(error.to_string())
}
