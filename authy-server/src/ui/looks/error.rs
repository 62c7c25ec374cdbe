//! Why the looks of the pages cannot be used.

use std::{io, path::PathBuf};

use super::known_files;

/// A file that cannot replace what is built in.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum InvalidLooks {
    /// The folder cannot be read.
    #[error("the folder {} cannot be read", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the folder replaces nothing: its name is probably misspelt.
    #[error("{} replaces nothing; the files are {}, and texts such as en.toml", .file.display(), known_files())]
    UnknownFile {
        /// The file.
        file: PathBuf,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A template cannot be parsed or rendered.
    #[error("the template {template} is wrong{}", line(.source))]
    Template {
        /// The path of the file, or the name of a built-in template.
        template: String,
        /// What the template engine says.
        source: minijinja::Error,
    },
    /// A file of texts cannot be read as such.
    #[error("{file} is wrong: {why}")]
    Texts {
        /// The name of the file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A file has a text that no page shows.
    #[error("{file} has the text {key} (line {line}), which no page shows; en.toml has all that there are")]
    UnknownText {
        /// The name of the file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The key of the text.
        key: String,
    },
    /// A text names a value that it does not get.
    #[error(
        "{file} has {{{name}}} in the text {key} (line {line}), which gets no such value; en.toml has those that it gets"
    )]
    UnknownPlaceholder {
        /// The name of the file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The key of the text.
        key: String,
        /// The name in braces.
        name: String,
    },
    /// A file of texts is of another language than those that are built in, and does not name it.
    #[error("{file} lacks the text language.name: the name of the language in itself, for the button that chooses it")]
    NoLanguageName {
        /// The name of the file.
        file: String,
    },
    /// A logo is not an image of the format that its name says.
    #[error("{} is no {format}", .file.display())]
    Logo {
        /// The file.
        file: PathBuf,
        /// The format that its name says.
        format: &'static str,
    },
}

fn line(error: &minijinja::Error) -> String {
    error.line().map_or(String::new(), |line| format!(" (line {line})"))
}
