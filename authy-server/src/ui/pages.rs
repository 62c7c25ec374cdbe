//! What is configured of the pages, and what is derived from it once.

use std::sync::Arc;

use authy_core::http_url::{HttpUrl, InvalidHttpUrl};
use http::HeaderMap;
use minijinja::Value;

use super::{
    ROOT,
    asset::{self, Asset},
    color::Color,
    cookie::{Cookie, CookieJar},
    language::{Language, preferred},
    looks::{Looks, Parts},
    path::DOCS,
};

/// The pages for people: where they are, and how they look.
///
/// ```
/// use authy_server::{HttpConfig, Pages};
///
/// # fn pages() -> Result<(), Box<dyn std::error::Error>> {
/// let pages = Pages { name: "The shop".to_owned(), ..Pages::new("https://shop.example")? };
/// let http = HttpConfig { pages: Some(pages), ..HttpConfig::default() };
/// # drop(http);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pages {
    /// The URL at which browsers reach the server. Its origin decides which forms are accepted, and with `https` the
    /// cookies are for secure connections alone. A path in it is put before every link.
    pub public_url: HttpUrl,
    /// The name of the service, in titles.
    pub name: String,
    /// The colour of buttons and links.
    pub color: Color,
    /// Templates, texts, stylesheet and logo.
    pub looks: Looks,
}

impl Pages {
    /// Creates pages with the built-in looks.
    ///
    /// # Errors
    /// [`InvalidHttpUrl`] when the text is no URL, or has a query or a fragment.
    pub fn new(public_url: &str) -> Result<Self, InvalidHttpUrl> {
        let public_url = HttpUrl::parse_base(public_url)?;
        Ok(Self { public_url, name: "authy".to_owned(), color: Color::DEFAULT, looks: Looks::built_in() })
    }
}

/// What is derived from the configuration.
pub(super) struct Skin {
    /// The origin of the public URL, as browsers send it.
    pub(super) origin: String,
    /// What is before every path: the path of the public URL, without a slash at its end.
    base: String,
    /// Whether cookies are for secure connections alone.
    pub(super) is_secure: bool,
    /// The first is that of people whose browsers ask for none of these.
    pub(super) languages: Vec<Language>,
    pub(super) assets: Vec<Asset>,
    /// What it was made of.
    pub(super) parts: Arc<Parts>,
    fallback: Language,
}

impl Skin {
    pub(super) fn new(pages: &Pages) -> Self {
        let Pages { public_url, name, color, looks } = pages;
        let parts = looks.parts();
        let uri = public_url.uri();
        let (scheme, authority) = (uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |it| it.as_str()));
        let base = uri.path().trim_end_matches('/').to_owned();
        let assets: Vec<_> = parts.assets(&color.properties()).into_iter().chain(asset::reference()).collect();
        let mut templates = parts.templates().clone();
        let links: Vec<_> = assets.iter().map(|asset| (asset.key, format!("{base}{}", asset.path()))).collect();
        templates.add_function("asset", move |key: String| {
            let link = links.iter().find(|(known, _)| *known == key).map(|(_, link)| link);
            link.map(|link| Value::from_safe_string(link.clone()))
                .ok_or_else(|| minijinja::Error::new(minijinja::ErrorKind::UndefinedError, format!("no asset {key}")))
        });
        let before = base.clone();
        templates.add_function("link", move |path: String| {
            Value::from_safe_string(attribute(&format!("{before}{ROOT}{path}")))
        });
        templates.add_global("api_reference", Value::from_safe_string(attribute(&format!("{base}{DOCS}"))));
        templates.add_global("service", name.as_str());
        let language = |(code, texts): &(String, _)| Language::new(code, Clone::clone(texts), templates.clone());
        Self {
            origin: format!("{scheme}://{authority}"),
            base,
            is_secure: public_url.is_https(),
            languages: parts.languages().iter().map(language).collect(),
            assets,
            fallback: Language::new("en", super::texts::Texts::default(), templates.clone()),
            parts,
        }
    }

    /// Returns the URL of a path of ours, relative to the host.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the language of a request: the one that was chosen, or the one that the browser prefers.
    pub(super) fn language(&self, headers: &HeaderMap) -> &Language {
        let chosen = CookieJar::new(headers, self.is_secure).get(Cookie::Language);
        let chosen = chosen.and_then(|code| self.languages.iter().find(|known| known.code == code));
        let preferred = || preferred(headers, &self.languages);
        chosen.or_else(preferred).or(self.languages.first()).unwrap_or(&self.fallback)
    }
}

/// Escapes a URL for an attribute in quotes. The escaping of templates would also replace every slash.
fn attribute(url: &str) -> String {
    url.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#39;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_within_its_attribute_and_keeps_its_slashes() {
        let url = "/authy/ui/admin/users?q=a&role=b\"><script>'";
        let escaped = "/authy/ui/admin/users?q=a&amp;role=b&quot;&gt;&lt;script&gt;&#39;";
        assert_eq!(attribute(url), escaped);
    }
}
