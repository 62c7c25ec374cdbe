//! The pages that the settings ask for.

use authy_core::{error::chain, http_url::HttpUrl};

use tokio::task::spawn_blocking;

use super::{public_url, reached_at::ReachedAt, url_of};
use crate::{
    config::Settings,
    link_template::LinkTemplate,
    ui::{DOCS, Pages},
};

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

/// Returns the URL of the API reference; `None` when the pages are off.
pub(super) fn reference_url(settings: &Settings, reached_at: &ReachedAt) -> Option<String> {
    settings.ui.then(|| format!("{}{DOCS}", reached_at.browser_url))
}

/// Returns the link to the page where a password is set with a code, as a command knows it without a server: from the URLs
/// in the settings, otherwise from the first address to listen on. `None` when the pages are off, or the server has a port
/// that only it knows.
pub(super) async fn reset_link(settings: &Settings) -> Option<LinkTemplate> {
    let listening = settings.listen.0.first()?.resolve().await.ok()?;
    let first = *listening.first()?;
    let public_url = public_url(settings, &url_of(settings, first));
    let reached_at = ReachedAt::new(settings, &public_url, &listening);
    let is_known = first.port() != 0 || settings.public_url.is_some() || settings.issuer.as_ref() == Some(&public_url);
    page_url(settings, &reached_at, "/reset/{code}").filter(|_| is_known)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    async fn link(flags: &[(&str, &str)]) -> Option<String> {
        let mut sources = Sources::default();
        sources.flags.extend(flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let link = reset_link(&sources.settings().unwrap().1).await?;
        Some(link.fill(&authy_core::Secret::new("x")))
    }

    #[tokio::test]
    async fn a_command_knows_the_page_for_a_new_password() {
        for (flags, expected) in [
            (&[][..], Some("http://localhost:8080/authy/ui/reset/x")),
            (&[("listen", "0.0.0.0:80")], Some("http://localhost:80/authy/ui/reset/x")),
            (&[("listen", "127.0.0.1:0")], None),
            (&[("ui", "false")], None),
            (
                &[("listen", "127.0.0.1:0"), ("public_url", "https://a.example/sub")],
                Some("https://a.example/sub/authy/ui/reset/x"),
            ),
            (&[("listen", "127.0.0.1:0"), ("issuer", "https://a.example")], Some("https://a.example/authy/ui/reset/x")),
            (&[("listen", "127.0.0.1:0"), ("issuer", "urn:a")], None),
        ] {
            assert_eq!(link(flags).await.as_deref(), expected, "{flags:?}");
        }
    }
}
