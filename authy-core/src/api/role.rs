//! Roles: what they are, and who has them.

use super::{Nothing, Reply, endpoints, page::PageNumber, requests};
use crate::{Access, Description, Level, RoleName, UserId, Username, access::ADMIN};

const SUBJECT: &str = "role";

endpoints! {
    /// All roles, most powerful first.
    ListRoles: GET "/authy/role" () Nothing => RoleList, Access::Level(ADMIN);

    /// Create a role, at most as powerful as the caller.
    CreateRole: POST "/authy/role" () NewRole => RoleMade, Access::Level(ADMIN);
        fails InvalidInput | RoleExists | BeyondYourLevel;

    /// Fetch one role.
    GetRole: GET "/authy/role/{role_name}" (RoleName) Nothing => OneRole, Access::Level(ADMIN); fails NotFound;

    /// Delete a role that nobody has and that did not come with the installation.
    DeleteRole: DELETE "/authy/role/{role_name}" (RoleName) Nothing => Nothing, Access::Level(ADMIN);
        fails NotFound | RoleInUse | BeyondYourLevel;

    /// A page of the users who have a role; deleted users have none.
    ListRoleUsers: GET "/authy/role/{role_name}/users" (RoleName) RoleUserQuery => RoleUserPage, Access::Level(ADMIN);
        fails NotFound | InvalidInput;

    /// Grant a role to a user. The user's tokens are void at once.
    GrantRole: POST "/authy/role/{role_name}/users/{public_id}" (RoleName, UserId) Nothing => Message,
        Access::Level(ADMIN);
        fails NotFound | AlreadyAssigned | BeyondYourLevel;

    /// Take a role away from a user. The user's tokens are void at once.
    RevokeRole: DELETE "/authy/role/{role_name}/users/{public_id}" (RoleName, UserId) Nothing => Message,
        Access::Level(ADMIN);
        fails NotFound | BeyondYourLevel | LastOfItsKind;
}

requests! {
    /// A role to be made.
    pub struct NewRole {
        /// A name no role has.
        pub name: RoleName,
        /// What the role is for.
        pub description: Description,
        /// A level no role has.
        pub level: Level,
    }

    /// Which of a role's users to list, 20 at a time.
    pub struct RoleUserQuery {
        /// The page, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub page: Option<PageNumber>,
    }
}

wire! {
    /// A role.
    pub struct RoleView {
        /// Its name.
        pub name: RoleName,
        /// What it is for.
        pub description: Description,
        /// How powerful it is: a smaller level is more power.
        pub level: Level,
    }

    /// All roles.
    pub struct RoleList {
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
    }

    /// One role.
    pub struct OneRole {
        /// The role.
        pub role: RoleView,
    }

    /// A role that was made.
    pub struct RoleMade {
        /// The role.
        pub role: RoleView,
    }

    /// A user who has a role.
    pub struct RoleUser {
        /// The user's name.
        pub name: Username,
        /// The user's public id.
        pub public_id: UserId,
    }

    /// A page of the users who have a role.
    pub struct RoleUserPage {
        /// The role.
        pub role: RoleView,
        /// The users of this page, in the order of their names.
        pub users: Vec<RoleUser>,
        /// How many there are on all pages.
        pub total_records: u64,
        /// The page after this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_url: Option<String>,
        /// The page before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub prev_url: Option<String>,
    }

    /// What was done, for people.
    pub struct Message {
        /// What was done.
        pub message: String,
    }
}

impl Reply for RoleList {}
impl Reply for OneRole {}
impl Reply for RoleUserPage {}
impl Reply for Message {}
impl Reply for RoleMade {
    const STATUS: u16 = 201;

    fn location(&self) -> Option<String> {
        use super::PathParams;
        Some((self.role.name.clone(),).fill("/authy/role/{role_name}"))
    }
}
