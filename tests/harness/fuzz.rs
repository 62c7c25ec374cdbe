//! What fuzz targets and property tests have in common: for every reader of untrusted bytes, one function that
//! reads them and panics when what was read cannot be, and a bound on the time that a byte may cost.

use std::{io, path::Path};

#[path = "fuzz/cost.rs"]
mod cost;
#[path = "fuzz/follower.rs"]
mod follower;
#[path = "fuzz/forwarded.rs"]
mod forwarded;
#[path = "fuzz/hash.rs"]
mod hash;
#[path = "fuzz/name.rs"]
mod name;
#[path = "fuzz/recording.rs"]
mod recording;
#[path = "fuzz/request.rs"]
mod request;
#[path = "fuzz/secret.rs"]
mod secret;
#[path = "fuzz/setting.rs"]
mod setting;
#[path = "fuzz/token.rs"]
mod token;

pub use cost::{Growth, cpu_time};

/// A reader of untrusted bytes.
#[derive(Clone, Copy, Debug)]
pub struct FuzzTarget {
    /// Its name, which is that of its fuzz target.
    pub name: &'static str,
    /// Reads the input, and panics when what was read breaks a rule of the reader.
    pub run: fn(&[u8]),
    /// Inputs that the reader accepts, for a fuzzer or a test to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What such inputs are made of.
    pub words: &'static [&'static str],
    /// Inputs of about that many bytes that cost a careless reader most; repeated words and seeds need not be among
    /// them.
    pub dearest: fn(usize) -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[FuzzTarget] = &[
    token::TOKEN,
    token::HEADERS,
    request::QUERY,
    request::BODY,
    request::PATH,
    secret::REFRESH_TOKEN,
    secret::DEVICE_TOKEN,
    secret::CODE,
    follower::REVOCATIONS,
    follower::EVENT_STREAM,
    follower::KEY_SET,
    hash::STORED_HASH,
    setting::SETTING,
    setting::SETTINGS_FILE,
    recording::RECORDING,
    forwarded::FORWARDED,
    name::NAME,
];

/// The longest input that is tried: nearly as long as a body and a head can be (64 KiB), and no longer than a URI
/// (65,534 bytes).
pub const LONGEST: usize = 64_000;

impl FuzzTarget {
    /// The target of that name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(name: &str) -> Self {
        *TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("there is no target {name}"))
    }

    /// Reads an input, and checks that its bytes did not cost more time than they may.
    ///
    /// # Panics
    /// When what was read breaks a rule of the reader, or took too long.
    pub fn check(&self, input: &[u8]) {
        let excess = self.excess(input);
        assert!(excess.is_none(), "{}", excess.unwrap_or_default());
    }

    /// Reads an input; by how much its bytes cost more time than they may, in words.
    ///
    /// # Panics
    /// When what was read breaks a rule of the reader.
    pub fn excess(&self, input: &[u8]) -> Option<String> {
        cost::excess(self, input)
    }

    /// Inputs of about that many bytes: each word and each seed again and again, and the dearest ones.
    pub fn long_inputs(&self, length: usize) -> Vec<Vec<u8>> {
        let seeds = (self.seeds)();
        let parts = self.words.iter().map(|word| word.as_bytes()).chain(seeds.iter().map(Vec::as_slice));
        let repeated = parts.filter(|part| !part.is_empty()).map(|part| repeat(part, length));
        repeated.chain((self.dearest)(length)).collect()
    }

    /// Writes the seeds into a folder, a file each.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_seeds(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (number, seed) in (self.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
        Ok(())
    }
}

/// A part again and again, until there are about that many bytes.
fn repeat(part: &[u8], length: usize) -> Vec<u8> {
    part.repeat((length / part.len()).max(1))
}

/// Numbered parts one after the other, until there are about that many bytes.
fn numbered(length: usize, part: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(length + 64);
    for number in 0.. {
        if text.len() >= length {
            break;
        }
        text.push_str(&part(number));
    }
    text
}
