//! The pages that the settings ask for.

use authy_core::{error::chain, http_url::HttpUrl};

use tokio::task::spawn_blocking;

use super::reached_at::ReachedAt;
use crate::{config::Settings, ui::Pages};

/// Returns the pages; `None` when they are off.
pub(super) fn pages(settings: &Settings, reached_at: &ReachedAt) -> Option<Pages> {
    let public_url = HttpUrl::parse_base(&reached_at.browser_url).ok().filter(|_| settings.ui)?;
    let (name, color, looks) = (settings.ui_name.clone(), settings.ui_color, settings.ui_dir.clone());
    Some(Pages { public_url, name, color, looks })
}

/// Reads the folder of the looks again, beside the requests. Files that cannot be used leave the previous looks as they are.
/// Returns whether there is one.
pub(super) fn reload(settings: &Settings) -> bool {
    let looks = settings.ui_dir.clone();
    let Some(folder) = looks.folder().filter(|_| settings.ui).map(|folder| folder.display().to_string()) else {
        return false;
    };
    spawn_blocking(move || match looks.reload() {
        Ok(()) => tracing::info!(folder, "SIGHUP: the looks of the pages were read again"),
        Err(error) => {
            let error = chain(&error);
            tracing::error!(folder, error, "SIGHUP: the looks of the pages cannot be used, the previous ones stay");
        }
    });
    true
}

/// Returns the URL of a page, `path` below `/authy/ui`; `None` when they are off.
pub(super) fn page_url(settings: &Settings, reached_at: &ReachedAt, path: &str) -> Option<String> {
    settings.ui.then(|| format!("{}/authy/ui{path}", reached_at.browser_url))
}
