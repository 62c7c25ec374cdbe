//! The fuzz targets. What they do is in `tests/harness/fuzz.rs`, and the property tests do the same.

use std::{path::Path, sync::OnceLock};

use authy_tests::fuzz::FuzzTarget;

static TARGET: OnceLock<FuzzTarget> = OnceLock::new();

/// Chooses the target of this program, and gives the fuzzer inputs to begin with.
pub fn begin(name: &str) {
    let target = TARGET.get_or_init(|| FuzzTarget::named(name));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    // Without them it only takes longer to find anything.
    if let Err(error) = target.write_seeds(&folder) {
        eprintln!("the seeds of {name} cannot be written: {error}");
    }
}

/// Reads an input, and checks what it cost.
pub fn read(input: &[u8]) {
    if let Some(target) = TARGET.get() {
        target.check(input);
    }
}
