//! Random texts.

use aws_lc_rs::rand;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use crate::{Error, ErrorKind, Result};

/// Returns `BYTES` random bytes in base64url.
///
/// # Errors
/// [`ErrorKind::Internal`] when the system's random number generator fails.
pub(in crate::engine) fn random_text<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "the system's random number generator failed"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
