//! The targets of guesses.

use crate::UserId;

/// The target of a guess.
pub(in crate::engine) struct GuessTarget {
    /// The kind, as the event records it. Never contains input.
    pub(super) kind: &'static str,
    pub(super) of: TargetName,
    pub(super) account: Option<UserId>,
    pub(super) counts_address: bool,
}

/// How a target is named in the table.
pub(super) enum TargetName {
    /// As it is: the statement of a login finds the count of the account that it finds.
    Plain(String),
    /// By a MAC.
    Hidden(String),
}

impl GuessTarget {
    /// The password for an account, from an unknown device. All spellings of its name have one count.
    pub(in crate::engine) fn password_of(account: UserId) -> Self {
        let of = TargetName::Plain(format!("account:{account}"));
        Self { kind: "login", of, account: Some(account), counts_address: true }
    }

    /// The password for a username that no account has: counted in the same way, so that it looks like any other.
    pub(in crate::engine) fn password_of_unknown(name: &str) -> Self {
        // Another text than before accounts were named as they are: the counts of both begin anew with that release, so that an
        // upgrade does not tell by the waits that it forgets which names exist.
        Self { kind: "login", of: TargetName::Hidden(format!("unknown\0{name}")), account: None, counts_address: true }
    }

    /// The password for an account, from a device on which it logged in, and no other account did. The address does not
    /// count: a user who shares it with an attacker can log in.
    pub(in crate::engine) fn password_on(device: &str, account: UserId) -> Self {
        Self {
            kind: "device",
            of: TargetName::Hidden(device.to_owned()),
            account: Some(account),
            counts_address: false,
        }
    }

    /// The password for the account of the caller's valid token.
    pub(in crate::engine) fn password_again(account: UserId) -> Self {
        let of = TargetName::Hidden(account.to_string());
        Self { kind: "password", of, account: Some(account), counts_address: false }
    }

    /// A one-time code: only the address counts.
    pub(super) fn code() -> Self {
        Self { kind: "code", of: TargetName::Plain(String::new()), account: None, counts_address: true }
    }
}
