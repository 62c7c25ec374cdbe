//! The colour of buttons and links, and what is readable on it and beside it.

use std::{fmt, str::FromStr};

/// The contrast of text that WCAG 2.2 requires at level AA (success criterion 1.4.3), and a little more for rounding.
const CONTRAST: f64 = 4.6;

/// A colour, as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// A text that is not a [`Color`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a colour, such as #3355cc")]
pub struct InvalidColor;

const WHITE: Color = Color([255; 3]);
const BLACK: Color = Color([0; 3]);

/// The backgrounds of the built-in stylesheet that links stand on: the least light one, and the least dark one.
const LIGHT: Color = Color([0xf0, 0xf1, 0xf5]);
const DARK: Color = Color([0x26, 0x29, 0x33]);

impl Color {
    /// The colour when none is configured: a calm blue, which stands for nothing.
    pub const DEFAULT: Self = Self([0x33, 0x55, 0xcc]);

    /// Returns the custom properties of a stylesheet that are derived from the colour: of buttons (`--accent`), of the
    /// text on them (`--on-accent`), and of links (`--link`), in light and dark surroundings.
    pub(super) fn properties(self) -> String {
        let on_accent = if self.contrast(WHITE) >= CONTRAST { WHITE } else { BLACK };
        let light = self.readable_on(LIGHT, BLACK);
        let dark = self.readable_on(DARK, WHITE);
        format!(
            ":root{{--accent:{self};--on-accent:{on_accent};--link:{light}}}\n\
             @media (prefers-color-scheme:dark){{:root{{--link:{dark}}}}}\n"
        )
    }

    /// Returns the colour, mixed with another one until it is readable.
    fn readable_on(self, background: Self, other: Self) -> Self {
        let steps = (0..=20).map(|step| self.mixed(other, f64::from(step) / 20.0));
        steps.into_iter().find(|mixed| mixed.contrast(background) >= CONTRAST).unwrap_or(other)
    }

    fn mixed(self, other: Self, share: f64) -> Self {
        let (Self([r, g, b]), Self([s, h, c])) = (self, other);
        let mix = |own: u8, other: u8| (f64::from(own) * (1.0 - share) + f64::from(other) * share).round() as u8;
        Self([mix(r, s), mix(g, h), mix(b, c)])
    }

    /// Returns the contrast ratio of two colours, from 1 to 21 (WCAG 2.2).
    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            part if part <= 0.04045 => part / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        };
        let Self([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }
}

impl FromStr for Color {
    type Err = InvalidColor;

    fn from_str(text: &str) -> Result<Self, InvalidColor> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(InvalidColor)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or(InvalidColor)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_contrast_is_that_of_wcag() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 0.01);
        let grey: Color = "#767676".parse().unwrap();
        assert!((grey.contrast(WHITE) - 4.54).abs() < 0.01, "{}", grey.contrast(WHITE));
        for text in ["", "3355cc", "#35c", "#3355cg", "#+355cc", "#3355ccc", "red"] {
            assert_eq!(text.parse::<Color>(), Err(InvalidColor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_colour_is_everything_is_readable(parts in any::<[u8; 3]>()) {
            let color = Color(parts);
            prop_assert_eq!(color.to_string().parse(), Ok(color));
            prop_assert!(color.readable_on(LIGHT, BLACK).contrast(LIGHT) >= 4.5);
            prop_assert!(color.readable_on(DARK, WHITE).contrast(DARK) >= 4.5);
            let on_accent = if color.contrast(WHITE) >= CONTRAST { WHITE } else { BLACK };
            prop_assert!(on_accent.contrast(color) >= 4.5, "{} on {}", on_accent, color);
        }
    }
}
