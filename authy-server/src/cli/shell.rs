//! `authy-server completions` and `authy-server man`, for packages and shells.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::print;
use crate::start::BoxError;

pub(super) fn commands() -> [Command; 2] {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
    let folder = Arg::new("folder").long("folder").value_name("FOLDER").value_parser(value_parser!(PathBuf));
    [
        Command::new("completions")
            .about("Print the completions for a shell, such as `source <(authy-server completions bash)`")
            .arg(shell.help("The shell")),
        Command::new("man")
            .about("Print the manual page, such as `authy-server man | man -l -`")
            .arg(folder.help("Write a page for each command into this folder, instead of printing one")),
    ]
}

/// Returns the completions.
pub(super) fn completions(matches: &ArgMatches, mut program: Command) -> Result<String, BoxError> {
    let shell = *matches.get_one::<Shell>("shell").ok_or("a shell is required")?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "authy-server", &mut script);
    Ok(String::from_utf8(script)?)
}

/// Prints the manual page, or writes the pages of all commands.
pub(super) fn man(matches: &ArgMatches, program: Command) -> Result<(), BoxError> {
    match matches.get_one::<PathBuf>("folder") {
        Some(folder) => write_pages(program, folder),
        None => {
            let mut page = Vec::new();
            Man::new(program).render(&mut page)?;
            print(String::from_utf8(page)?.trim_end())
        }
    }
}

fn write_pages(program: Command, folder: &Path) -> Result<(), BoxError> {
    clap_mangen::generate_to(program, folder)
        .map_err(|error| format!("the manual pages cannot be written to {}: {error}", folder.display()).into())
}
