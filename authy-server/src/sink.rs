//! Sinks, which events are delivered to: RabbitMQ, mail, a webhook, and the log.

mod amqp;
mod log;
mod mail;
mod webhook;

pub use amqp::{Amqp, AmqpUrl, InvalidAmqpUrl};
pub(crate) use amqp::{EXCHANGE, QUEUE};
pub(crate) use log::LogSink;
pub use mail::{
    InvalidLinkTemplate, InvalidSender, InvalidSmtpUrl, InvalidTemplate, LinkTemplate, MailConfig, MailFolderError,
    MailSink, Mailer, Sender, SmtpTlsError, SmtpUrl, Templates,
};
pub use webhook::{InvalidWebhook, Webhook, WebhookSecrets, WebhookUrl};
