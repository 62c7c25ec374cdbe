//! What pages load: stylesheets, the logo, the scripts of the API reference, at addresses that contain their hash: a browser keeps them, and asks for changed ones.

use authy_core::{Error, ErrorKind};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use http_body_util::{Either, Full};

use super::{
    answer::{Answer, Shown},
    visit::Visit,
};
use crate::reply::FullResponse;

/// What an asset is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Css,
    Js,
    /// Compressed; every browser reads it.
    GzippedCss,
    /// Compressed; every browser reads it.
    GzippedJs,
    Svg,
    Png,
}

/// A file that pages load.
pub(super) struct Asset {
    /// By which templates name it.
    pub(super) key: &'static str,
    file: &'static str,
    kind: Kind,
    hash: String,
    content: Bytes,
}

impl Asset {
    pub(super) fn new(key: &'static str, file: &'static str, kind: Kind, content: Bytes) -> Self {
        // 48 bits: a changed file has another address, and nobody gains from two files with the same.
        let hash = digest(&SHA256, &content).as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { key, file, kind, hash, content }
    }

    /// Returns the path, relative to the server.
    pub(super) fn path(&self) -> String {
        format!("/authy/ui/assets/{}/{}", self.hash, self.file)
    }
}

pub(super) async fn show(visit: &Visit<'_>) -> Shown {
    let asset = visit.site.skin.assets.iter().find(|asset| asset.file == visit.parameter("name"));
    let asset = asset.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such asset"))?;
    let mut response = FullResponse::new(Full::from(asset.content.clone()));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(match asset.kind {
            Kind::Css | Kind::GzippedCss => "text/css; charset=utf-8",
            Kind::Js | Kind::GzippedJs => "text/javascript; charset=utf-8",
            Kind::Svg => "image/svg+xml",
            Kind::Png => "image/png",
        }),
    );
    if matches!(asset.kind, Kind::GzippedCss | Kind::GzippedJs) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // A page of a server that is being replaced names a file of another version: this one is better than none.
    let is_current = asset.hash == visit.parameter("hash");
    let caching = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    // An image that is opened by itself is a document, and may contain a script.
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    Ok(Answer::raw(response.map(Either::Left)))
}
