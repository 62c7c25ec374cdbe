//! Connections to other HTTP servers: a webhook, a collector of traces, the servers that `shadow` compares.

use std::time::Duration;

use authy_core::tls::{self, Roots, TlsError};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

/// Returns what opens connections with HTTP/1.1, each within `timeout`. Where the URL is https, the server is verified.
///
/// # Errors
/// When the URL is https and there are no certificate authorities.
pub(crate) fn connector(
    is_https: bool,
    roots: &Roots,
    timeout: Duration,
) -> Result<HttpsConnector<HttpConnector>, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    let tls = if is_https { roots.client_config() } else { tls::without_roots() };
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls?).https_or_http().enable_http1();
    Ok(connector.wrap_connector(tcp))
}
