//! The parameters in a path, read and written.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Field;
use crate::{Invalid, Schema, error::FieldError};

/// Everything that could end a path segment or be read as something else is written in percent.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A type that a parameter in a path can have.
pub trait PathParam: Field + Schema + fmt::Display + Send + Sync + 'static {
    /// Whether a wrong value means that there is no such thing (404) or that the request is wrong (400).
    const WRONG_IS_NOT_FOUND: bool = true;

    /// Reads it from a segment of a path. What names something is read as it may be stored, not as it may be chosen today.
    ///
    /// # Errors
    /// Why nothing can be named so.
    fn from_segment(text: &str) -> Result<Self, Invalid> {
        Self::from_text(text)
    }
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq)]
pub enum PathError {
    /// A parameter names nothing that can exist.
    NotFound,
    /// A parameter is wrong.
    Invalid(FieldError),
}

/// Something that is done for every parameter of a path and needs its type.
pub trait ParamVisitor {
    /// Does it for one.
    fn visit<T: PathParam>(&mut self);
}

/// The parameters of a path, in the order of its template.
pub trait PathParams: Sized + Send + Sync + 'static {
    /// Reads them from decoded segments, each with its name.
    ///
    /// # Errors
    /// Which parameter is wrong, and whether that means "not found".
    fn parse(segments: &[(&str, String)]) -> Result<Self, PathError>;

    /// Fills them into the template.
    fn fill(&self, template: &str) -> String;

    /// Shows a visitor each of them, in order.
    fn visit(visitor: &mut impl ParamVisitor);
}

fn read<T: PathParam>((name, text): &(&str, String)) -> Result<T, PathError> {
    T::from_segment(text).map_err(|why: Invalid| match T::WRONG_IS_NOT_FOUND {
        true => PathError::NotFound,
        false => PathError::Invalid(why.of(name)),
    })
}

fn fill_in(template: &str, values: &[&dyn fmt::Display]) -> String {
    let mut path = String::with_capacity(template.len() + 40);
    let mut values = values.iter();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        if let Some(value) = values.next() {
            path.extend(utf8_percent_encode(&value.to_string(), SEGMENT));
        }
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    path + rest
}

impl PathParams for () {
    fn parse(_: &[(&str, String)]) -> Result<Self, PathError> {
        Ok(())
    }

    fn fill(&self, template: &str) -> String {
        template.to_owned()
    }

    fn visit(_: &mut impl ParamVisitor) {}
}

impl<A: PathParam> PathParams for (A,) {
    fn parse(segments: &[(&str, String)]) -> Result<Self, PathError> {
        match segments {
            [a] => Ok((read(a)?,)),
            _ => Err(PathError::NotFound),
        }
    }

    fn fill(&self, template: &str) -> String {
        fill_in(template, &[&self.0])
    }

    fn visit(visitor: &mut impl ParamVisitor) {
        visitor.visit::<A>();
    }
}

impl<A: PathParam, B: PathParam> PathParams for (A, B) {
    fn parse(segments: &[(&str, String)]) -> Result<Self, PathError> {
        match segments {
            [a, b] => Ok((read(a)?, read(b)?)),
            _ => Err(PathError::NotFound),
        }
    }

    fn fill(&self, template: &str) -> String {
        fill_in(template, &[&self.0, &self.1])
    }

    fn visit(visitor: &mut impl ParamVisitor) {
        visitor.visit::<A>();
        visitor.visit::<B>();
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::{RoleName, UserId};

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in "[\\p{L}\\p{Nd}._-]{3,50}") {
            let (Ok(name), id) = (name.parse::<RoleName>(), UserId::random()) else { return Ok(()) };
            let path = (name.clone(), id).fill("/authy/role/{role_name}/users/{public_id}");
            let segments: Vec<_> = path.split('/').map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned()).collect();
            let [_, _, _, first, _, second] = segments.as_slice() else { panic!("{path}") };
            let read = <(RoleName, UserId)>::parse(&[("role_name", first.clone()), ("public_id", second.clone())]);
            prop_assert_eq!(read, Ok((name, id)));
        }

        #[test]
        fn a_segment_stays_one_segment(text in "\\PC*") {
            let written = utf8_percent_encode(&text, SEGMENT).to_string();
            prop_assert!(!written.contains(['/', '?', '#', ' ']));
            let read = percent_decode_str(&written).decode_utf8_lossy();
            prop_assert_eq!(read, text);
        }
    }
}
