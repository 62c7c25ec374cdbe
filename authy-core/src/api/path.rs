//! Reads and writes the parameters of a path.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Field;
use crate::{Invalid, Schema, error::FieldError};

/// The characters to percent-encode: those that would end a path segment or change its meaning.
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

/// A type of a path parameter.
pub trait PathParam: Field + Schema + fmt::Display + Send + Sync + 'static {
    /// Whether an invalid value means that the resource does not exist (404) or that the request is wrong (400).
    const WRONG_IS_NOT_FOUND: bool = true;

    /// Reads a value from a path segment. Names are read as they may be stored, which includes names under earlier rules.
    ///
    /// # Errors
    /// The reason why no resource can have this name.
    fn from_segment(text: &str) -> Result<Self, Invalid> {
        Self::from_text(text)
    }
}

/// The reason why a path is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum PathError {
    /// A parameter identifies nothing that can exist.
    NotFound,
    /// A parameter is invalid.
    Invalid(FieldError),
}

/// An operation on every path parameter that needs the parameter's type.
pub trait ParamVisitor {
    /// Performs the operation for one parameter.
    fn visit<T: PathParam>(&mut self);
}

/// The parameters of a path, in the order of its template.
pub trait PathParams: Sized + Send + Sync + 'static {
    /// Reads the parameters from decoded segments, each with its name.
    ///
    /// # Errors
    /// Which parameter is invalid, and whether that means "not found".
    fn parse(segments: &[(&str, String)]) -> Result<Self, PathError>;

    /// Inserts the parameters into the template.
    fn fill(&self, template: &str) -> String;

    /// Visits the parameters, in order.
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
