//! Which roles here the operator has chosen for roles of the source, by their names there.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{Error, ErrorKind, Invalid, Result, RoleName, name::Stored as _};

/// The chosen roles.
#[derive(Default)]
pub(in crate::engine::domain) struct RoleMapping(Vec<Choice>);

struct Choice {
    /// As the operator wrote it.
    old: String,
    old_key: String,
    /// Whether the source describes a role of exactly this name: then no other is meant.
    is_exact: bool,
    /// The key of the role here.
    new: String,
    is_used: AtomicBool,
}

impl RoleMapping {
    /// Reads what was chosen. `described` are the names that the source is known to have.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when a role that is chosen does not exist here.
    pub(in crate::engine::domain) fn new<'n>(
        chosen: &BTreeMap<String, RoleName>,
        described: impl Iterator<Item = &'n str> + Clone,
        is_here: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut choices = Vec::with_capacity(chosen.len());
        for (old, new) in chosen {
            if !is_here(&new.key()) {
                let cause = format!("there is no role {:?} here", new.as_str());
                return Err(Error::with_source(
                    ErrorKind::InvalidInput,
                    "a role is mapped to one that does not exist",
                    cause,
                )
                .with_field(Invalid::new("unknown_role", "is not the name of a role").of("map-role")));
            }
            choices.push(Choice {
                old: old.clone(),
                old_key: RoleName::stored(old.clone()).key(),
                is_exact: described.clone().any(|name| name == old),
                new: new.key(),
                is_used: AtomicBool::new(false),
            });
        }
        Ok(Self(choices))
    }

    /// Returns the key of the role that was chosen for one of the source. Its name is compared without case, as those of
    /// roles here are, unless another role has exactly the name that was written.
    pub(in crate::engine::domain) fn find(&self, name: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let key = RoleName::stored(name.to_owned()).key();
        let exact = self.0.iter().find(|choice| choice.old == name);
        let found = exact.or_else(|| self.0.iter().find(|choice| !choice.is_exact && choice.old_key == key))?;
        found.is_used.store(true, Ordering::Relaxed);
        Some(&found.new)
    }

    /// Returns the names that were chosen for and have not been found.
    pub(in crate::engine::domain) fn unused(&self) -> Vec<&str> {
        let unused = self.0.iter().filter(|choice| !choice.is_used.load(Ordering::Relaxed));
        unused.map(|choice| choice.old.as_str()).collect()
    }

    /// Checks that every choice is for one of these names, when they are all that the source has.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when one is for none of them.
    pub(in crate::engine::domain) fn require_known<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<()> {
        for name in names {
            self.find(name);
        }
        let Some(old) = self.unused().first().copied() else { return Ok(()) };
        let cause = format!("no role there is called {old:?}");
        Err(Error::with_source(ErrorKind::InvalidInput, "a role is mapped that does not exist there", cause)
            .with_field(Invalid::new("unknown_role", "is not the name of a role of the source").of("map-role")))
    }
}
