//! Renders every page once, so that an error in a file that replaces one is found at the start.

use std::{path::Path, sync::Arc};

use super::{
    admin, event_docs,
    frame::Frame,
    looks::{InvalidLooks, Looks, Parts},
    pages::{Pages, Skin},
    view,
};

impl Looks {
    /// Reads the built-in looks, with the files of a folder in place of those of the same name: templates (`login.html`
    /// …), the stylesheet (`app.css`), the logo (`logo.svg` or `logo.png`), and texts (`en.toml`, `de.toml`, and those of
    /// other languages). A file of texts has only those that differ.
    ///
    /// # Errors
    /// [`InvalidLooks`] when a file cannot be read, has an unknown name, or cannot be rendered.
    pub fn load(folder: Option<&Path>) -> Result<Self, InvalidLooks> {
        Ok(Self::of(folder, checked(folder)?))
    }

    /// Reads the files of the folder again, for all clones. A server answers with them from the next request on.
    ///
    /// # Errors
    /// As [`load`](Self::load). Then the previous looks stay.
    pub fn reload(&self) -> Result<(), InvalidLooks> {
        self.replace(checked(self.folder())?);
        Ok(())
    }
}

/// Reads the files of a folder, and renders them.
fn checked(folder: Option<&Path>) -> Result<Arc<Parts>, InvalidLooks> {
    let parts = Arc::new(Parts::read(folder)?);
    // The built-in ones are checked by a test.
    let Some(pages) = folder.and_then(|_| Pages::new("http://localhost").ok()) else { return Ok(parts) };
    let pages = Pages { looks: Looks::of(None, parts.clone()), ..pages };
    Skin::new(&pages).check().map_err(|source| {
        let template = parts.origin(source.name().unwrap_or_default());
        InvalidLooks::Template { template, source }
    })?;
    Ok(parts)
}

impl Skin {
    /// Renders every page in every language, with everything that it can show.
    fn check(&self) -> Result<(), minijinja::Error> {
        let samples: Vec<_> =
            [view::samples(), event_docs::view::samples(), admin::samples()].into_iter().flatten().collect();
        for language in &self.languages {
            for (template, sample) in &samples {
                for frame in Frame::samples(self, language) {
                    language.try_render(template, frame.into(), sample.clone())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
