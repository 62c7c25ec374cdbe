//! Files that are replaced completely or not at all.

use std::{io, path::Path};

use authy_core::file;
use tempfile::NamedTempFile;

/// Creates a file beside another one, which it replaces when it is [persisted](NamedTempFile::persist) there. It has mode 0600 from
/// the beginning.
///
/// # Errors
/// When other users can replace files in the folder, or it cannot be written.
pub(crate) fn replacement(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    file::check_folder(folder)?;
    NamedTempFile::new_in(folder)
}
