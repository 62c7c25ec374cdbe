//! Where the programs are that the tests run, besides our own. `make tools` installs them.

use std::path::{Path, PathBuf};

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Python, with the packages that the tests need.
///
/// # Panics
/// When they are not installed.
pub fn python() -> PathBuf {
    installed("python/bin/python")
}

/// The folder in which Node finds the packages that the tests need.
///
/// # Panics
/// When they are not installed.
pub fn node() -> PathBuf {
    installed("node/node_modules").join("..")
}

/// A browser: the one that `AUTHY_BROWSER` names, or where Debian's and macOS's packages put it.
///
/// # Panics
/// When there is none.
pub fn browser() -> PathBuf {
    let named = std::env::var_os("AUTHY_BROWSER").map(PathBuf::from);
    let usual =
        ["/usr/bin/chromium", "/usr/bin/google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
    let found = named.or_else(|| usual.iter().map(PathBuf::from).find(|path| path.exists()));
    found.expect("no browser: `make tools` installs one")
}

/// That JSON texts are valid by a JSON Schema in a file.
///
/// # Panics
/// When one is not.
pub async fn validate(schema: &Path, texts: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.json");
    std::fs::write(&file, format!("[{}]", texts.join(","))).unwrap();
    let script = root().join("tests/harness/validate.py");
    let mut command = tokio::process::Command::new(python());
    let output = command.arg(script).arg(schema).arg(file).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The folder that cargo builds in.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn installed(path: &str) -> PathBuf {
    let path = target().join("tools").join(path);
    assert!(path.exists(), "{} is missing: `make tools` installs it", path.display());
    path
}
