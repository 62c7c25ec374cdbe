//! Which role here stands for a role of the source.
//!
//! A membership must never give more power than it gave in the source, so a role is recognized by its level: a role with
//! the same name and another level becomes a role of its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::json;

use super::{
    mapping::RoleMapping,
    record::SourceRole,
    report::{ImportNoteKind::*, ImportReport},
    sql,
};
use crate::{
    Error, ErrorKind, Level, Result, RoleName,
    api::event::EventKind,
    engine::{
        domain::role,
        journal::{
            event::Event,
            write::{Tx, Written},
        },
        storage::{connector::db_error, statement::Params},
    },
    name::Stored as _,
};

/// The role of a user about whose roles the source says nothing.
const DEFAULT_ROLE: &str = "user";

/// The roles of a source, and the roles here.
#[derive(Default)]
pub(super) struct RoleMap {
    /// By the keys of the source.
    described: HashMap<String, i32>,
    left_out: HashSet<String>,
    pub(super) mapping: RoleMapping,
    here: Vec<Role>,
    /// The negative IDs of roles that a dry run does not create.
    imagined: i32,
}

struct Role {
    id: i32,
    name: RoleName,
    key: String,
    level: i32,
}

impl RoleMap {
    /// Returns the role that a user of the source has.
    pub(super) fn find(&self, key: &str) -> Option<i32> {
        self.described.get(key).copied().or_else(|| {
            let chosen = self.mapping.find(key).map(str::to_owned);
            let name = chosen.unwrap_or_else(|| RoleName::stored(key.to_owned()).key());
            self.here.iter().find(|role| role.key == name).map(|role| role.id)
        })
    }

    /// Returns whether the source describes the role, and it was left out.
    pub(super) fn is_left_out(&self, key: &str) -> bool {
        self.left_out.contains(key)
    }

    pub(super) fn default_role(&self) -> Option<i32> {
        self.find(DEFAULT_ROLE)
    }

    /// Returns the names of roles.
    pub(super) fn names(&self, roles: &[i32]) -> Vec<&RoleName> {
        self.here.iter().filter(|role| roles.contains(&role.id)).map(|role| &role.name).collect()
    }

    async fn read(tx: &Tx<'_>, described: &[SourceRole], mapped: &BTreeMap<String, RoleName>) -> Result<Self> {
        let rows = sql::LIST_ROLES.rows(tx, &[]).await?;
        let here = rows.iter().map(|row| Role {
            id: row.get("role_id"),
            name: RoleName::stored(row.get("name")),
            key: row.get("name_key"),
            level: row.get("level"),
        });
        let here: Vec<_> = here.collect();
        let names = described.iter().flat_map(SourceRole::names);
        let mapping = RoleMapping::new(mapped, names.clone(), |key| here.iter().any(|role| role.key == key))?;
        if !described.is_empty() {
            // All roles of the source are known: a name that none has is misspelt.
            mapping.require_known(names)?;
        }
        Ok(Self { here, mapping, imagined: -1, ..Self::default() })
    }

    fn with_level(&self, level: i32) -> Option<&Role> {
        self.here.iter().find(|role| role.level == level)
    }

    fn with_key(&self, key: &str) -> Option<&Role> {
        self.here.iter().find(|role| role.key == key)
    }

    /// Finds the role here for a role that the source describes, or describes the one to be created.
    fn choose(&mut self, role: &SourceRole, report: &mut ImportReport) -> Option<NewRole> {
        let row = role.to_string();
        let mapped = role.names().find_map(|name| self.mapping.find(name));
        if let Some(found) = mapped.and_then(|key| self.with_key(key)) {
            self.described.insert(role.key.clone(), found.id);
            return None;
        }
        let Some(level) = role.level else {
            report.note(RoleWithoutLevel, &row, "the role has no level, which is its power: it is left out");
            self.left_out.insert(role.key.clone());
            return None;
        };
        if !(0..=i32::try_from(Level::MAX).unwrap_or(i32::MAX)).contains(&level) {
            report.note(RoleLevelUnusual, &row, format!("the level {level} is outside of 0 to 99999: it is kept"));
        }
        let name = role.name.as_deref().map_or_else(|| format!("role-{level}"), str::to_owned);
        let key = RoleName::stored(name.clone()).key();
        if let Some(found) = self.with_level(level) {
            if found.key != key {
                let message =
                    format!("another role has its level {level}: its users get the role {:?}", found.name.as_str());
                report.note(RoleMerged, &row, message);
            }
            self.described.insert(role.key.clone(), found.id);
            return None;
        }
        let name = match self.with_key(&key) {
            None => name,
            Some(found) => {
                let new = [format!("{name}-{level}"), format!("{name}-{level}-{}", role.key)];
                let is_free = |name: &String| self.with_key(&RoleName::stored(name.clone()).key()).is_none();
                let new = new.into_iter().find(is_free).unwrap_or_else(|| format!("role-{level}"));
                let message = format!("a role of this name has the level {}: this one is called {new:?}", found.level);
                report.note(RoleRenamed, &row, message);
                new
            }
        };
        if role.name.is_none() {
            report.note(RoleRenamed, &row, format!("the role has no name: it is called {name:?}"));
        }
        Some(NewRole { name: RoleName::stored(name), description: role.description.clone().unwrap_or_default(), level })
    }

    fn add(&mut self, source: &SourceRole, id: i32, role: NewRole) {
        let NewRole { name, level, .. } = role;
        self.described.insert(source.key.clone(), id);
        self.here.push(Role { id, key: name.key(), name, level });
    }
}

struct NewRole {
    name: RoleName,
    description: String,
    level: i32,
}

/// Finds the roles of a source here, and creates those that are missing.
pub(super) async fn resolve(
    tx: &Tx<'_>,
    described: &[SourceRole],
    mapped: &BTreeMap<String, RoleName>,
    report: &mut ImportReport,
) -> Result<Written<RoleMap>> {
    let actor = tx.operator()?;
    let mut map = RoleMap::read(tx, described, mapped).await?;
    let mut events = Vec::new();
    for source in described {
        let Some(new) = map.choose(source, report) else { continue };
        report.roles_created += 1;
        if report.is_dry_run {
            let id = map.imagined;
            map.imagined -= 1;
            map.add(source, id, new);
            continue;
        }
        let NewRole { name, description, level } = &new;
        let params: Params<'_> = &[&name.as_str(), &name.key(), &description.as_str(), level];
        role::sql::CREATE.execute(tx, params).await.map_err(db_error)?;
        let row = role::sql::FIND_ID.row(tx, &[&name.key()]).await?.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "a role was created by another at the same time: try again")
        })?;
        events.push(Event::new(EventKind::RoleCreated, &actor).detail(json!({ "role": name, "level": level })));
        map.add(source, row.get("role_id"), new);
    }
    Ok(Written::with_events(map, events))
}
