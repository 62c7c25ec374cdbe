//! Where mail arrives: a real mail server, and what it received, read by another project's parser.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use authy_core::{Authy, Secret, engine::Sink};
use authy_server::sink::{MailConfig, Mails};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::{tools, trace};

/// What the links in mails begin with.
pub const PUBLIC_URL: &str = "https://auth.example.org";

/// A mail server, and all that reached it.
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    arrived: Arc<Mutex<Vec<Mail>>>,
    news: watch::Receiver<usize>,
    reading: JoinHandle<()>,
    // It ends when this is dropped.
    _server: Child,
}

/// A mail as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    /// Whom it is from, by the envelope.
    pub sender: String,
    /// Whom it is for, by the envelope.
    pub to: String,
    /// Its headers, decoded, in their order.
    pub headers: Vec<(String, String)>,
    /// Its text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// What is wrong with it.
    pub defects: Vec<String>,
    /// Whether it came encrypted.
    pub tls: bool,
    /// The login it came with.
    pub login: Option<String>,
}

impl Mail {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        self.header("subject")
    }

    /// The code in it: no other word is as long.
    ///
    /// # Panics
    /// When there is none.
    pub fn code(&self) -> Secret {
        let words = self.text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
        let code = words.max_by_key(|word| word.len()).filter(|word| word.len() >= 40);
        Secret::new(code.unwrap_or_else(|| panic!("no code in {self:?}")))
    }

    /// Notes every code in it.
    fn note_secrets(&self) {
        let words = self.text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
        words.filter(|word| word.len() >= 40).for_each(|code| trace::secret("code", code));
    }
}

impl MailServer {
    /// A mail server as it comes.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A mail server with something changed: see `smtp.py`.
    pub async fn with(arguments: &[&str]) -> Self {
        let mut server = Command::new(tools::python())
            .arg(tools::root().join("tests/harness/smtp.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        #[derive(Deserialize)]
        struct Ready {
            port: u16,
        }
        let ready: Ready = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let arrived = Arc::new(Mutex::default());
        let (count, news) = watch::channel(0);
        let reading = tokio::spawn(read(lines, Arc::clone(&arrived), count));
        Self { address: ([127, 0, 0, 1], ready.port).into(), arrived, news, reading, _server: server }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// A sink that sends mails here.
    pub fn sink(&self, authy: &Authy) -> Arc<dyn Sink> {
        mail_sink(authy, &self.url(), |config| config)
    }

    /// The mail that arrived first of those to an address, which is waited for. It is taken out.
    ///
    /// # Panics
    /// When none arrives within twenty seconds.
    pub async fn next_to(&self, address: &str) -> Mail {
        let mut news = self.news.clone();
        let waiting = async {
            loop {
                news.borrow_and_update();
                if let Some(mail) = self.take(address) {
                    return mail;
                }
                news.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.unwrap_or_else(|_| panic!("no mail to {address}; there is {:?}", self.waiting()))
    }

    /// The mails that arrived and were not taken out.
    pub fn waiting(&self) -> Vec<Mail> {
        self.arrived.lock().unwrap().clone()
    }

    fn take(&self, address: &str) -> Option<Mail> {
        let mut arrived = self.arrived.lock().unwrap();
        let place = arrived.iter().position(|mail| mail.to == address)?;
        Some(arrived.remove(place))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A sink that sends mails with a link to a page for a new password, with something changed.
pub fn mail_sink(authy: &Authy, url: &str, change: impl FnOnce(MailConfig) -> MailConfig) -> Arc<dyn Sink> {
    let reset = "https://shop.example/reset?code={code}".parse().unwrap();
    Arc::new(mails(url).with(|config| change(config.reset_url(reset))).sink(authy))
}

/// Mails to a URL, without that page.
pub fn mails(url: &str) -> Mails {
    Mails::smtp(url, "The Shop <no-reply@shop.example>", PUBLIC_URL).unwrap()
}

async fn read(mut lines: Lines<BufReader<ChildStdout>>, arrived: Arc<Mutex<Vec<Mail>>>, count: watch::Sender<usize>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mail: Mail = serde_json::from_str(&line).unwrap();
        mail.note_secrets();
        arrived.lock().unwrap().push(mail);
        count.send_modify(|count| *count += 1);
    }
}
