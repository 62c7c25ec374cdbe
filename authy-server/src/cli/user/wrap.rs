//! `authy-server user wrap-passwords`.

use authy_core::{Authy, engine::Caller};
use clap::Command;

use crate::{cli::arguments::print, start::BoxError};

pub(super) fn command() -> Command {
    Command::new("wrap-passwords").about(
        "Put argon2id over the imported password hashes of other formats, before their owners log in. It may be interrupted and \
         run again",
    )
}

pub(super) async fn run(authy: &Authy, caller: &Caller) -> Result<(), BoxError> {
    let done = authy.users().wrap_passwords(caller, |progress| {
        eprintln!("{} of {} hashes", progress.wrapped + progress.skipped, progress.found);
    });
    let done = done.await?;
    print(&format!("hashes that are inside of argon2id now: {}; that stay as they are: {}", done.wrapped, done.skipped))
}
