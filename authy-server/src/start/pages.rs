//! The pages that the settings ask for.

use authy_core::http_url::HttpUrl;

use super::reached_at::ReachedAt;
use crate::{config::Settings, ui::Pages};

/// Returns the pages; `None` when they are off.
pub(super) fn pages(settings: &Settings, reached_at: &ReachedAt) -> Option<Pages> {
    let public_url = HttpUrl::parse_base(&reached_at.browser_url).ok().filter(|_| settings.ui)?;
    let (name, color, looks) = (settings.ui_name.clone(), settings.ui_color, settings.ui_dir.clone());
    Some(Pages { public_url, name, color, looks })
}

/// Returns the URL of a page, `path` below `/authy/ui`; `None` when they are off.
pub(super) fn page_url(settings: &Settings, reached_at: &ReachedAt, path: &str) -> Option<String> {
    settings.ui.then(|| format!("{}/authy/ui{path}", reached_at.browser_url))
}
