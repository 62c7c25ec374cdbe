//! Renders every page once, so that an error in a file that replaces one is found at the start.

use std::path::Path;

use super::{
    admin,
    frame::Frame,
    looks::{InvalidLooks, Looks},
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
        let looks = Self::read(folder)?;
        // The built-in ones are checked by a test.
        let Some(pages) = folder.and_then(|_| Pages::new("http://localhost").ok()) else { return Ok(looks) };
        let pages = Pages { looks: looks.clone(), ..pages };
        Skin::new(&pages).check().map_err(|source| {
            let template = looks.origin(source.name().unwrap_or_default());
            InvalidLooks::Template { template, source }
        })?;
        Ok(looks)
    }
}

impl Skin {
    /// Renders every page in every language, with everything that it can show.
    fn check(&self) -> Result<(), minijinja::Error> {
        for language in &self.languages {
            for (template, sample) in view::samples().into_iter().chain(admin::samples()) {
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
