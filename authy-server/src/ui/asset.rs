//! What pages load: stylesheets, the logo, the scripts of the API reference, at addresses that contain their hash: a browser keeps them, and asks for changed ones.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

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
    /// The last part of its path.
    pub(super) file: &'static str,
    pub(super) kind: Kind,
    pub(super) hash: String,
    pub(super) content: Bytes,
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

/// Returns what the API reference loads.
pub(super) fn reference() -> [Asset; 4] {
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
