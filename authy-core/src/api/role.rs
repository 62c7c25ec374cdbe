//! Roles and their users.

use super::{
    Nothing, Reply, endpoints,
    page::{ListCursor, PageNumber, either},
    requests,
};
use crate::{Access, Description, Level, RoleName, UserId, Username, access::ADMIN};

const SUBJECT: &str = "role";

endpoints! {
    /// List all roles, most powerful first.
    ListRoles: GET "/authy/role" () Nothing => RoleList, Access::Level(ADMIN);

    /// Create a role. It can be at most as powerful as the caller.
    ///
    /// Names and levels are unique: no two roles are equally powerful. A taken name or level is 409 `role_exists`.
    CreateRole: POST "/authy/role" () NewRole => RoleMade, Access::Level(ADMIN);
        fails InvalidInput | RoleExists | BeyondYourLevel;

    /// Get a role.
    GetRole: GET "/authy/role/{role_name}" (RoleName) Nothing => OneRole, Access::Level(ADMIN); fails NotFound;

    /// Delete a role that no user has and that does not belong to the installation.
    DeleteRole: DELETE "/authy/role/{role_name}" (RoleName) Nothing => Nothing, Access::Level(ADMIN);
        fails NotFound | RoleInUse | BeyondYourLevel;

    /// List the users who have a role, one page at a time, in the order in which they were granted it. Deleted users are not
    /// included.
    ///
    /// The links lead from page to page as those of `GET /authy/users`.
    ListRoleUsers: GET "/authy/role/{role_name}/users" (RoleName) RoleUserQuery => RoleUserPage, Access::Level(ADMIN);
        fails NotFound | InvalidInput | PageTooFar;

    /// Grant a role to a user. Revokes the user's tokens immediately.
    GrantRole: POST "/authy/role/{role_name}/users/{public_id}" (RoleName, UserId) Nothing => Message,
        Access::Level(ADMIN);
        fails NotFound | AlreadyDeleted | AlreadyAssigned | BeyondYourLevel;

    /// Revoke a role from a user. Revokes the user's tokens immediately.
    RevokeRole: DELETE "/authy/role/{role_name}/users/{public_id}" (RoleName, UserId) Nothing => Message,
        Access::Level(ADMIN);
        fails NotFound | AlreadyDeleted | BeyondYourLevel | LastOfItsKind;
}

requests! {
    /// A role to create.
    pub struct NewRole {
        /// The name. It must be unique.
        pub name: RoleName,
        /// The purpose of the role.
        pub description: Description,
        /// The level. No other role may have it, so no two roles are equally powerful.
        pub level: Level,
    }

    /// The page of a role's users to list, with 20 users per page.
    #[derive(Default)]
    pub struct RoleUserQuery {
        /// The page number, starting with 1, at most 100.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub page: Option<PageNumber>,
        /// The position of the page, from a link to it, instead of `page`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<ListCursor>,
    }
    check page, after => either;
}

wire! {
    /// A role.
    pub struct RoleView {
        /// The name.
        pub name: RoleName,
        /// The purpose.
        pub description: Description,
        /// The level. A smaller level is more powerful.
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

    /// The created role.
    pub struct RoleMade {
        /// The role.
        pub role: RoleView,
    }

    /// A user who has a role.
    pub struct RoleUser {
        /// The username.
        pub name: Username,
        /// The user's public ID.
        pub public_id: UserId,
    }

    /// A page of the users who have a role.
    pub struct RoleUserPage {
        /// The role.
        pub role: RoleView,
        /// The users of this page, in the order in which they were granted the role.
        pub users: Vec<RoleUser>,
        /// The total number of users on all pages: exact where at most 10,000 have to be counted or examined.
        pub total_records: u64,
        /// Whether the total is an estimate, from the statistics of the database. Absent when it is exact.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub total_is_estimate: bool,
        /// The URL of the next page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_url: Option<String>,
        /// The URL of the previous page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub prev_url: Option<String>,
    }

    /// The result of an operation, for people.
    pub struct Message {
        /// The message.
        #[cfg_attr(feature = "schema", schemars(example = &"0b7c3b1e-6d5c-4a43-9d6b-0f3d2a4f8e10 has the role auctioneer now"))]
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
