//! The private readers of untrusted bytes, for fuzz targets and property tests. Not part of the API: this module exists
//! only with the feature `fuzz-entry-points`.

use std::{net::IpAddr, path::Path, sync::LazyLock, time::Duration};

use authy_core::{
    api::{Fields, Info},
    client_info::TrustedProxies,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, request::Parts};
use http_body_util::Full;
use ipnet::IpNet;
use tokio::runtime::{self, Runtime};

use crate::{
    config::{self, Problems, Settings, TABLE},
    request, routes,
    table::RouteTable,
};

/// The routes of the server.
pub struct Routes(RouteTable);

impl Default for Routes {
    fn default() -> Self {
        Self(RouteTable::new(routes::all()))
    }
}

impl Routes {
    /// Returns the template of a path, and the decoded parameters in it with their names; `None` for an unknown path.
    pub fn find<'a>(&'a self, path: &'a str) -> Option<(&'static str, Vec<(&'a str, String)>)> {
        let (resource, parameters) = self.0.find(path)?;
        Some((resource.metrics.route, parameters))
    }
}

/// Reads the fields of a request for an endpoint; `None` when they are refused.
pub fn fields(info: &Info, head: &Parts, body: &[u8]) -> Option<Fields> {
    // The timeout of a body needs a clock, although all of this body is there.
    static CLOCK: LazyLock<Option<Runtime>> =
        LazyLock::new(|| runtime::Builder::new_current_thread().enable_time().build().ok());
    let _clock = CLOCK.as_ref()?.enter();
    let body = Full::new(Bytes::copy_from_slice(body));
    request::fields(info, head, body, Duration::from_secs(1)).now_or_never()?.ok()
}

/// Returns the id of a request with these headers.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    request::id(headers)
}

/// Returns the client of a request that a peer delivered, and whether it arrived over https.
pub fn client(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> (IpAddr, bool) {
    let client = TrustedProxies::new(trusted.to_vec()).client_address(peer, headers);
    (client.ip, client.https)
}

/// Returns the key of every setting, and whether it is a secret.
pub fn settings() -> impl Iterator<Item = (&'static str, bool)> {
    TABLE.iter().map(|setting| (setting.key, setting.is_secret))
}

/// Reads the text of one setting; the error is what an operator is shown.
///
/// # Errors
/// When the text is no value of the setting, or there is no such setting.
pub fn setting(key: &str, text: &str) -> Result<(), String> {
    Settings::read_one(key, text).unwrap_or_else(|| Err("is no setting".to_owned()))
}

/// Reads the text of a file of settings.
///
/// # Errors
/// What an operator is shown.
pub fn settings_file(text: &str) -> Result<(), String> {
    let mut problems = Problems::default();
    config::parse_file(Path::new("authy.toml"), text, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems.to_string()) }
}

/// Reads a file of recorded requests. Returns the path and the query of each request to authy.
///
/// # Errors
/// What an operator is shown.
pub fn recording(bytes: &[u8]) -> Result<Vec<String>, String> {
    crate::cli::fuzz_recording(bytes)
}
