//! Sinks, which events are delivered to: RabbitMQ, mail, a webhook, and the log.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "cli")]
mod log;
#[cfg(feature = "mail")]
mod mail;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "amqp")]
pub use amqp::{Amqp, AmqpUrl, BrokerReport, InvalidAmqpUrl};
#[cfg(feature = "cli")]
pub(crate) use log::LogSink;
#[cfg(feature = "mail")]
pub use mail::{
    InvalidMails, InvalidSender, InvalidSmtpUrl, InvalidTemplate, MailConfig, MailFolderError, MailSink, Mailer, Mails,
    Sender, SmtpTlsError, SmtpUrl, Templates,
};
#[cfg(feature = "test-util")]
pub use mail::{TestMail, TestMailbox};
#[cfg(feature = "webhook")]
pub use webhook::{InvalidWebhook, Webhook, WebhookSecrets, WebhookUrl};
