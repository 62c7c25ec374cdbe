//! What the template of the reference of events shows.

use serde::Serialize;

use crate::ui::view::{text, views};

views! {
    "event-docs.html" EventDocsView {
        /// The URL of the document.
        asyncapi: String = text(), text();
        /// The URL of the API reference.
        api: String = text(), text();
        about: Vec<Vec<Span>> = Vec::new(), vec![Span::samples()];
        /// The fields of every message.
        fields: Vec<FieldLine> = Vec::new(), vec![FieldLine::sample(false), FieldLine::sample(true)];
        example: String = text(), text();
        kinds: Vec<KindEntry> = Vec::new(), vec![KindEntry::sample(false), KindEntry::sample(true)];
    }
}

/// A part of a text.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct Span {
    pub(super) text: String,
    pub(super) is_code: bool,
}

/// A field of a message or of its detail.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct FieldLine {
    pub(super) name: String,
    /// The type.
    pub(super) kind: String,
    /// Whether it may be absent.
    pub(super) is_optional: bool,
    pub(super) about: Vec<Span>,
}

/// A kind of event.
#[derive(Clone, Debug, Serialize)]
pub(in crate::ui) struct KindEntry {
    pub(super) name: String,
    pub(super) summary: Vec<Span>,
    /// The fields of the detail.
    pub(super) fields: Vec<FieldLine>,
}

impl Span {
    fn samples() -> Vec<Self> {
        [false, true].map(|is_code| Self { text: text(), is_code }).into()
    }
}

impl FieldLine {
    fn sample(is_optional: bool) -> Self {
        Self { name: text(), kind: text(), is_optional, about: Span::samples() }
    }
}

impl KindEntry {
    fn sample(is_full: bool) -> Self {
        let fields = if is_full { vec![FieldLine::sample(false), FieldLine::sample(true)] } else { Vec::new() };
        Self { name: text(), summary: Span::samples(), fields }
    }
}
