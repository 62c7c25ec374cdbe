//! The API reference: Swagger UI, on the OpenAPI document of this server.

use authy_core::api::{Endpoint as _, system::GetOpenApi};
use http::HeaderValue;

use super::{
    answer::{Answer, Shown},
    path::EVENT_DOCS,
    view::DocsView,
    visit::Visit,
};

/// The policy of the page. It is that of the others without trusted types, which Swagger UI does not know: the page
/// shows nothing but a document of ours.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

pub(super) async fn reference(visit: &Visit<'_>) -> Shown {
    let url = |path| visit.site.skin.url(path);
    let view = DocsView { openapi: url(GetOpenApi::INFO.path), events: url(EVENT_DOCS) };
    Ok(Answer::page(&view).with_policy(POLICY))
}
