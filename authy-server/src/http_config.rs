//! The configuration of HTTP, with the reason for each default.

use std::time::Duration;

use ipnet::IpNet;

use crate::{access_log::AccessLog, compat::Compat, limit::RateLimits, stream::StreamLimits};

/// Timeouts, limits and trust of the HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The networks of the proxies whose `X-Forwarded-For` (without it, `X-Real-IP`) and `X-Forwarded-Proto` count.
    pub trusted_proxies: Vec<IpNet>,
    /// The networks of services that follow revocations as event streams: places are reserved for them.
    pub follower_networks: Vec<IpNet>,
    /// The pages for people, under `/authy/ui`; `None` for none.
    #[cfg(feature = "ui")]
    pub pages: Option<crate::ui::Pages>,
    /// Limits of event streams.
    pub streams: StreamLimits,
    /// Whether requests that did not arrive over https are refused, except for the status.
    pub require_https: bool,
    /// The origins whose pages may call from a browser, such as `https://shop.example`.
    pub cors_origins: Vec<String>,
    /// The earlier system for whose clients some answers are changed; `None` for none.
    pub compat: Option<Compat>,
    /// The access log; `None` for no lines.
    pub access_log: Option<AccessLog>,
    /// Whether requests are spans of the global tracer provider that the process has when the server is created.
    #[cfg(feature = "otlp")]
    pub traces: bool,
    /// Maximum number of requests per address.
    pub limits: RateLimits,
    /// Maximum number of connections at a time; further clients wait. When not set, as many as the limit of open files
    /// of the process permits, less a quarter, or 256 of 1024 and more, for the database and the sinks.
    /// [`Server`](crate::Server) only.
    pub max_connections: Option<usize>,
    /// Maximum idle time of a connection between two requests. Give it more than the proxies in front: one that is the
    /// first to close does not send a request on a connection that the server is just closing. While the maximum number
    /// of connections is open it is [`header_timeout`](Self::header_timeout) when that is shorter.
    /// [`Server`](crate::Server) only.
    pub keep_alive: Duration,
    /// Maximum time for the head of a request to arrive, from its first byte or from the beginning of the connection.
    /// [`Server`](crate::Server) only.
    pub header_timeout: Duration,
    /// Maximum time for a TLS handshake, from the beginning of the connection; 2 seconds while others wait to begin
    /// theirs. [`Server`](crate::Server) only.
    pub handshake_timeout: Duration,
    /// Maximum time for a body to arrive.
    pub body_timeout: Duration,
    /// Maximum time for answering, including the arrival of the body.
    pub request_timeout: Duration,
    /// Maximum time for which a client may take no bytes of an answer. For event streams, see [`StreamLimits::stall`].
    /// [`Server`](crate::Server) only.
    pub write_timeout: Duration,
    /// Time for which a server that stops still accepts connections, so that the proxies in front notice it and send
    /// their requests to another one. [`Server`](crate::Server) only.
    pub stop_delay: Duration,
    /// Maximum time for the requests under way when the server stops, after [`stop_delay`](Self::stop_delay).
    /// [`Server`](crate::Server) only.
    pub drain_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            // A trusted proxy can claim any client address, so none is trusted by default.
            trusted_proxies: Vec::new(),
            // Other followers use a token, or share the anonymous places.
            follower_networks: Vec::new(),
            // They need the URL at which browsers reach the server.
            #[cfg(feature = "ui")]
            pages: None,
            streams: StreamLimits::default(),
            // A first start is on the user's own machine, without a certificate.
            require_https: false,
            // No page of another origin may call until the origin is configured.
            cors_origins: Vec::new(),
            // It is for the months after a move, and what it accepts of passwords is ambiguous.
            compat: None,
            // The proxy in front of a server has one, and its lines contain the addresses of users.
            access_log: None,
            // A program that has traces of its own may not want a span for each request to authy.
            #[cfg(feature = "otlp")]
            traces: false,
            limits: RateLimits::default(),
            // What else would run out first is the descriptors, and then no database connection could be opened either.
            max_connections: None,
            // The load balancers of most clouds close after 60 seconds, nginx after 60 and HAProxy after 10.
            keep_alive: Duration::from_secs(75),
            // A slow phone needs two seconds; much longer is an attempt to hold connections open.
            header_timeout: Duration::from_secs(10),
            // As a head.
            handshake_timeout: Duration::from_secs(10),
            // 64 KiB over the slowest mobile network.
            body_timeout: Duration::from_secs(10),
            // Clients and proxies give up after 30 to 60 seconds: a later answer would not be read.
            request_timeout: Duration::from_secs(30),
            // A phone that loses its network in a tunnel is back within this time. Meanwhile its answer, at most 1 MB,
            // is kept in memory.
            write_timeout: Duration::from_secs(30),
            // A program that embeds the server may have nothing in front of it.
            stop_delay: Duration::ZERO,
            // Together with the delay of the program `authy-server`, and the time for deliveries under way, less than
            // the 30 seconds after which Kubernetes kills a process.
            drain_timeout: Duration::from_secs(10),
        }
    }
}
