//! A browser that does next to nothing: one connection, and the cookie of a login.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

pub(crate) struct Visitor {
    stream: BufStream<TcpStream>,
    token: String,
}

impl Visitor {
    pub(crate) async fn open(address: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufStream::new(stream), token: token.to_owned() }
    }

    /// Opens a page, and returns its length in bytes.
    pub(crate) async fn get(&mut self, path: &str) -> usize {
        // Who is logged in is led away from the login.
        let cookie = match path.starts_with("/authy/ui/a") {
            true => format!("cookie: authy-access={}\r\n", self.token),
            false => String::new(),
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: auth.example\r\n{cookie}\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
        let status = self.line().await;
        assert!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line().await.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", text)) => length = text.parse().unwrap(),
                Some(("transfer-encoding", _)) => is_chunked = true,
                None if line.is_empty() => break,
                _ => {}
            }
        }
        if !is_chunked {
            self.skip(length).await;
            return length;
        }
        loop {
            let chunk = usize::from_str_radix(&self.line().await, 16).unwrap();
            self.skip(chunk + 2).await;
            length += chunk;
            if chunk == 0 {
                return length;
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "closed");
        line.trim_end().to_owned()
    }

    async fn skip(&mut self, length: usize) {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.unwrap();
    }
}
