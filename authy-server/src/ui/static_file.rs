//! Answers with an asset.

use authy_core::{Error, ErrorKind};
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use http_body_util::{Either, Full};

use super::{
    answer::{Answer, Shown},
    asset::Kind,
    visit::Visit,
};
use crate::reply::FullResponse;

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
