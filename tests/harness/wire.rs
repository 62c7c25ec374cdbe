//! Requests as bytes: what no well-behaved client would send, and answers as they come.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The `code` of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{self:?}");
        assert_eq!(problem["detail"], problem["message"], "{self:?}");
        problem["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A request line by line, ended and answered on a connection of its own.
pub async fn send(address: SocketAddr, head: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = head.trim().replace('\n', "\r\n");
    let bytes = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n{length}\r\n{body}");
    let mut answers = raw(address, bytes.as_bytes()).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// A JSON body, sent.
pub async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    send(address, &format!("POST {path} HTTP/1.1\ncontent-type: application/json"), body).await
}

/// A plain GET.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1"), "").await
}

/// Bytes, sent as they are, and every answer until the server closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<Answer> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut received = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut received)).await.expect("no answer in time");
    assert!(read.is_ok() || !received.is_empty(), "the connection ended without an answer: {read:?}");
    answers(&received)
}

/// A connection that is used for several requests.
pub struct KeptConnection(TcpStream);

impl KeptConnection {
    /// Opens a connection.
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Sends a GET, and returns its answer.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), "").await
    }

    /// Sends a request line by line, and returns its answer.
    pub async fn send(&mut self, head: &str, body: &str) -> Answer {
        let (head, length) = (head.replace('\n', "\r\n"), body.len());
        self.write(&format!("{head}\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")).await;
        self.answer().await
    }

    /// The next answer, whose body must have a length.
    pub async fn answer(&mut self) -> Answer {
        let (mut received, mut is_complete) = (Vec::new(), false);
        while !is_complete {
            let read =
                timeout(Duration::from_secs(20), self.0.read_buf(&mut received)).await.expect("no answer in time");
            assert!(read.unwrap() > 0, "closed without an answer: {:?}", String::from_utf8_lossy(&received));
            let text = String::from_utf8_lossy(&received).to_lowercase();
            is_complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
                body.len() >= length.parse().unwrap()
            });
        }
        answers(&received).remove(0)
    }

    /// Waits until the server closes, and returns what it sends before.
    pub async fn closed(&mut self) -> String {
        let mut received = Vec::new();
        let read = timeout(Duration::from_secs(20), self.0.read_to_end(&mut received)).await;
        // Closed with bytes that it has not read, a connection is reset.
        drop(read.expect("it is not closed in time"));
        String::from_utf8(received).unwrap()
    }
}

/// A body in chunks, and what comes after it. The answer to a HEAD has none.
fn chunks(mut bytes: &[u8]) -> (String, &[u8]) {
    let mut body = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(2).position(|window| window == b"\r\n").expect("no end of a chunk's length");
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
        if length == 0 {
            break;
        }
    }
    (String::from_utf8(body).unwrap(), bytes)
}

/// The answers in a stream of bytes. Every body must have a length, or come in chunks.
pub fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("no end of the headers");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
            let (text, rest) = chunks(&bytes[end + 4..]);
            answers.push(Answer { status, headers, body: text });
            bytes = rest;
            continue;
        }
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
        let body = &bytes[end + 4..];
        // The answer to a HEAD has a length and no body.
        let length = length.min(body.len());
        let text = String::from_utf8(body[..length].to_vec()).unwrap();
        answers.push(Answer { status, headers, body: text });
        bytes = &body[length..];
    }
    answers
}
