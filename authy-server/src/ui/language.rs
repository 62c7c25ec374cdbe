//! A language of the pages: its texts, and the templates that use them.

use std::sync::Arc;

use authy_core::{Error, ErrorKind, Result};
use http::{HeaderMap, header::ACCEPT_LANGUAGE};
use minijinja::{Environment, Value, context, value::Kwargs};

use super::texts::{Texts, fill};

/// A language.
pub(crate) struct Language {
    /// The code of ISO 639-1, such as `en`.
    pub(super) code: String,
    /// Its name in itself.
    pub(super) name: String,
    pub(super) texts: Arc<Texts>,
    templates: Environment<'static>,
}

impl Language {
    /// Creates a language from its texts and the templates of all languages.
    pub(super) fn new(code: &str, texts: Texts, mut templates: Environment<'static>) -> Self {
        let texts = Arc::new(texts);
        let used = texts.clone();
        templates.add_function("t", move |key: String, values: Kwargs| translate(&used, &key, &values));
        templates.add_global("lang", code);
        Self { code: code.to_owned(), name: texts.get("language.name"), texts, templates }
    }

    /// Renders a page.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the template is wrong, which the start would have found.
    pub(super) fn render(&self, template: &str, frame: Value, view: Value) -> Result<String> {
        self.try_render(template, frame, view)
            .map_err(|cause| Error::with_source(ErrorKind::Internal, "a page cannot be written", cause))
    }

    pub(super) fn try_render(&self, template: &str, frame: Value, view: Value) -> Result<String, minijinja::Error> {
        self.templates.get_template(template)?.render(context! { frame => frame, view => view })
    }
}

/// Returns a text with values, for templates: `t("session.device", program="Firefox")`.
fn translate(texts: &Texts, key: &str, values: &Kwargs) -> Result<String, minijinja::Error> {
    let text = texts.find(key).ok_or_else(|| {
        minijinja::Error::new(minijinja::ErrorKind::UndefinedError, format!("there is no text {key}"))
    })?;
    let names: Vec<String> = values.args().map(str::to_owned).collect();
    let values = names.iter().map(|name| Ok((name.as_str(), values.get::<Value>(name)?.to_string())));
    let values: Vec<(&str, String)> = values.collect::<Result<_, minijinja::Error>>()?;
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(fill(text, &values))
}

/// Returns the language that a client prefers (RFC 9110, section 12.5.4), of those that there are.
pub(super) fn preferred<'a>(headers: &HeaderMap, languages: &'a [Language]) -> Option<&'a Language> {
    let lines = headers.get_all(ACCEPT_LANGUAGE).into_iter().filter_map(|line| line.to_str().ok());
    let mut best: Option<(f32, &Language)> = None;
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default();
        let primary = tag.split('-').next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |quality| quality.trim().parse::<f32>().unwrap_or(0.0));
        let Some(language) = languages.iter().find(|known| known.code.eq_ignore_ascii_case(primary)) else { continue };
        if quality > 0.0 && best.is_none_or(|(known, _)| quality > known) {
            best = Some((quality, language));
        }
    }
    best.map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_is_the_one_that_the_browser_prefers() {
        let languages: Vec<_> =
            ["en", "de"].map(|code| Language::new(code, Texts::default(), Environment::new())).into();
        let chosen = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(accept))]);
            preferred(&headers, &languages).map(|language| language.code.clone()).unwrap_or_default()
        };
        for (accept, expected) in [
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("fr,en;q=0.5,de;q=0.7", "de"),
            ("EN-us", "en"),
            ("fr", ""),
            ("de;q=0", ""),
            ("*", ""),
            (";;q=,de;q=x,en;q=nan", ""),
        ] {
            assert_eq!(chosen(accept), expected, "{accept}");
        }
    }
}
