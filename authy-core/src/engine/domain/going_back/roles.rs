//! Which role of the first authy stands for a role here, and which must be created there.
//!
//! A membership must never give more power there than here, so roles are compared by their level.

use std::collections::BTreeMap;

use super::{
    change::NewRole,
    report::{ExportNoteKind::*, ExportReport},
    there::{RoleThere, There},
};
use crate::{Result, RoleName, engine::domain::import::mapping::RoleMapping};

/// Maximum length of the name of a role there, in characters.
const MAX_NAME: usize = 50;

/// Maximum length of a description there, in characters.
const MAX_DESCRIPTION: usize = 100;

/// A role here.
pub(super) struct RoleHere {
    pub(super) id: i32,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) description: String,
    pub(super) level: i32,
    /// Whether it was created here, or somebody has it.
    pub(super) is_needed: bool,
}

/// The roles there and here.
#[derive(Default)]
pub(super) struct Roles {
    /// The role here for each role there that has one.
    here: BTreeMap<i64, i32>,
    /// The role there with the level of each role here.
    there: BTreeMap<i32, i64>,
}

impl Roles {
    /// Compares the roles, as an import with the same `mapped` does.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when a role is mapped that does not exist there, or to one
    /// that does not exist here.
    pub(super) fn new(here: &[RoleHere], there: &[RoleThere], mapped: &BTreeMap<String, RoleName>) -> Result<Self> {
        let mut roles = Self::default();
        let names = |role: &RoleThere| [role.name.clone(), Some(role.id.to_string())].into_iter().flatten();
        let all: Vec<String> = there.iter().flat_map(names).collect();
        let is_here = |key: &str| here.iter().any(|role| role.key == key);
        let mapping = RoleMapping::new(mapped, all.iter().map(String::as_str), is_here)?;
        mapping.require_known(all.iter().map(String::as_str))?;
        for role in there {
            let target = names(role).find_map(|name| mapping.find(&name).map(str::to_owned));
            if let Some(found) = target.and_then(|key| here.iter().find(|role| role.key == key)) {
                roles.here.insert(role.id, found.id);
            } else if let Some(found) = here.iter().find(|found| Some(found.level) == role.level) {
                roles.here.insert(role.id, found.id);
                roles.there.insert(found.id, role.id);
            }
        }
        Ok(roles)
    }

    /// Creates the roles there that are missing.
    pub(super) async fn create_missing(
        &mut self,
        here: &[RoleHere],
        known: &[RoleThere],
        there: &mut There,
        report: &mut ExportReport,
    ) -> Result<()> {
        let mut names: Vec<String> = known.iter().filter_map(|role| role.name.clone()).collect();
        let missing = here.iter().filter(|role| role.is_needed && !self.there.contains_key(&role.id));
        for (role, imagined) in missing.collect::<Vec<_>>().into_iter().zip((i64::MIN..).step_by(1)) {
            if known.iter().any(|known| known.level == Some(role.level)) {
                report.note(RoleNotWritten, &role.name, "a role there with its level is mapped to another one");
                continue;
            }
            let Some(new) = describe(role, &names, report) else { continue };
            names.push(new.name.clone());
            report.roles_created += 1;
            let id = match report.is_dry_run {
                true => imagined,
                false => there.create_role(&new).await?,
            };
            self.here.insert(id, role.id);
            self.there.insert(role.id, id);
        }
        Ok(())
    }

    /// Returns the roles here for memberships there, without duplicates.
    pub(super) fn here_for(&self, there: &[i64]) -> Vec<i32> {
        let mut here: Vec<i32> = there.iter().filter_map(|id| self.here.get(id).copied()).collect();
        here.sort_unstable();
        here.dedup();
        here
    }

    /// Returns the role there with the level of a role here.
    pub(super) fn there_for(&self, here: i32) -> Option<i64> {
        self.there.get(&here).copied()
    }

    /// Returns whether a role there stands for one here.
    pub(super) fn stands_for(&self, there: i64, here: i32) -> bool {
        self.here.get(&there) == Some(&here)
    }
}

/// Returns how a role is created there. `None` when it cannot be.
fn describe(role: &RoleHere, taken: &[String], report: &mut ExportReport) -> Option<NewRole> {
    let RoleHere { name, level, .. } = role;
    let fits = |name: &String| name.chars().count() <= MAX_NAME && !taken.contains(name);
    let Some(free) = [name.clone(), format!("{name}-{level}")].into_iter().find(fits) else {
        let message = format!("its name is too long for the first authy, or is that of another role of level {level}");
        report.note(RoleNotWritten, name, message);
        return None;
    };
    if free != *name {
        report.note(RoleChanged, name, format!("a role there has this name and another level: it is called {free:?}"));
    }
    let description = Some(role.description.clone()).filter(|text| text.chars().count() <= MAX_DESCRIPTION);
    if description.is_none() {
        report.note(RoleChanged, name, "its description is longer than 100 characters: it has none there");
    }
    Some(NewRole { name: free, description, level: *level })
}
