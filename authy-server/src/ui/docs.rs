//! The API reference: Swagger UI, on the OpenAPI document of this server.

use authy_core::api::{
    Endpoint as _,
    system::{GetAsyncApi, GetOpenApi},
};
use http::HeaderValue;

use super::{
    answer::{Answer, Shown},
    asset::{Asset, Kind},
    view::DocsView,
    visit::Visit,
};

/// The policy of the page. It is that of the others without trusted types, which Swagger UI does not know: the page
/// shows nothing but a document of ours, and reads no cookie.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

pub(super) async fn reference(visit: &Visit<'_>) -> Shown {
    let url = |path| visit.site.skin.url(path);
    let view = DocsView { openapi: url(GetOpenApi::INFO.path), asyncapi: url(GetAsyncApi::INFO.path) };
    Ok(Answer::page(&view).with_policy(POLICY))
}

/// Returns what the page loads.
pub(super) fn assets() -> [Asset; 4] {
    let swagger = include_bytes!("../../assets/swagger/swagger-ui-bundle.js.gz").as_slice();
    let style = include_bytes!("../../assets/swagger/swagger-ui.css.gz").as_slice();
    let (docs, docs_style) = (include_bytes!("../../assets/docs.js"), include_bytes!("../../assets/docs.css"));
    [
        Asset::new("swagger", "swagger-ui.js", Kind::GzippedJs, swagger.into()),
        Asset::new("swagger_style", "swagger-ui.css", Kind::GzippedCss, style.into()),
        Asset::new("docs", "docs.js", Kind::Js, docs.as_slice().into()),
        Asset::new("docs_style", "docs.css", Kind::Css, docs_style.as_slice().into()),
    ]
}
