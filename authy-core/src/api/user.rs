//! Users: signing up, looking at oneself, and administering others.

use chrono::{DateTime, Utc};

use super::{
    Nothing, Reply, endpoints,
    field::differ,
    page::{PageNumber, PageSize},
    requests,
    role::RoleView,
};
use crate::{
    Access, Email, Invalid, NewPassword, Secret, UserId, Username,
    access::ADMIN,
    time::{HttpDate, OptionalHttpDate},
};

const SUBJECT: &str = "user";

endpoints! {
    /// Sign up.
    ///
    /// The new user has the role `user`. A username that is reserved, or looks like a reserved one or like that of an administrator,
    /// is answered as a taken one, and `fields` names it.
    ///
    /// A name stays taken for good, also when its user is deleted. An address is taken once an account has confirmed it: of all
    /// accounts that sign up with one address, the first that confirms it keeps it, and the others lose it.
    Register: POST "/authy/user" () NewUser => Created, Access::Public, Register;
        fails InvalidInput | PasswordsDiffer | WeakPassword | AlreadyRegistered | Overloaded;

    /// Who am I?
    GetSelf: GET "/authy/user" () Nothing => OwnView, Access::Authenticated;

    /// Delete myself.
    ///
    /// The row stays, so that nobody takes the name; every token is void at once.
    DeleteSelf: DELETE "/authy/user" () Nothing => Nothing, Access::Authenticated; fails LastOfItsKind;

    /// My roles, most powerful first.
    GetOwnRoles: GET "/authy/user/role" () Nothing => OwnRoles, Access::Authenticated;

    /// A page of all users, deleted ones included, in the order of their creation.
    ListUsers: GET "/authy/users" () UserQuery => UserPage, Access::Level(ADMIN); fails InvalidInput;

    /// Fetch one user, deleted or not.
    GetUser: GET "/authy/user/{public_id}" (UserId) Nothing => UserView, Access::Level(ADMIN); fails NotFound;

    /// Delete a user; with `erase`, for good.
    ///
    /// Erased, name and address stay taken, as keyed hashes, and nothing that tells of the person is left: not in the account,
    /// not in the audit trail. Only the most powerful may do that, to users who were deleted before too.
    DeleteUser: DELETE "/authy/user/{public_id}" (UserId) Deletion => Nothing, Access::Level(ADMIN);
        fails InvalidInput | NotFound | AlreadyDeleted | BeyondYourLevel | LastOfItsKind;

    /// A user's roles, most powerful first.
    GetUserRoles: GET "/authy/user/{public_id}/role" (UserId) Nothing => UserRoles, Access::Level(ADMIN); fails NotFound;

    /// The name of a user who was not deleted. Sibling services ask without a token.
    GetUsername: GET "/authy/username/{public_id}" (UserId) Nothing => NameOfUser, Access::Public; fails NotFound;

    /// The public id of a name, unless its user was deleted.
    FindUser: GET "/authy/fetch/{username}" (Username) Nothing => IdOfUser, Access::Public; fails NotFound;
}

requests! {
    /// Somebody who signs up.
    pub struct NewUser {
        /// A name nobody has or had.
        pub username: Username,
        /// An address that no account has ever confirmed.
        pub email: Email,
        /// 8 to 256 characters, any characters, and not easily guessed.
        #[serde(serialize_with = "crate::secret::dangerous_expose_new")]
        pub password: NewPassword,
        /// The same again.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub confirm_password: Secret,
    }
    check password, confirm_password => differ;

    /// How to delete a user.
    pub struct Deletion {
        /// Whether the personal data goes, too. It does not when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub erase: Option<bool>,
    }

    /// Which users to list.
    pub struct UserQuery {
        /// The page, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub page: Option<PageNumber>,
        /// How many users a page has: 1 to 100, 20 when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub per_page: Option<PageSize>,
        /// The beginning of a username or an email.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub q: Option<String>,
    }
}

impl Deletion {
    /// The row stays as it is.
    pub const PLAIN: Self = Self { erase: None };

    /// Personal data goes for good.
    pub const ERASE: Self = Self { erase: Some(true) };
}

impl NewUser {
    /// Somebody with this name, this address and this password; no typing mistake is possible, so the confirmation is the
    /// password itself.
    ///
    /// # Errors
    /// Which of them is none that anybody can have.
    pub fn new(username: &str, email: &str, password: Secret) -> Result<Self, Invalid> {
        let (password, confirm_password) = (NewPassword::new(password.clone())?, password);
        let (username, email) = (username.parse()?, email.parse()?);
        Ok(Self { username, email, password, confirm_password })
    }
}

wire! {
    /// A user that was made.
    pub struct Created {
        /// The new user.
        pub public_id: UserId,
    }

    /// The caller.
    pub struct OwnView {
        /// The caller's public id.
        pub public_id: UserId,
        /// The caller's name.
        pub username: Username,
        /// The caller's address.
        pub email: Email,
        /// When the caller signed up.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// When the caller logged in last.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub last_login: Option<DateTime<Utc>>,
    }

    /// A user, as administrators see it.
    pub struct UserView {
        /// The user's public id.
        pub public_id: UserId,
        /// The user's name.
        pub username: Username,
        /// The user's address.
        pub email: Email,
        /// When the user signed up.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// When the user logged in last.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub last_login: Option<DateTime<Utc>>,
        /// Whether the address was confirmed.
        pub validated: bool,
        /// Whether the user was deleted.
        pub deleted: bool,
        /// When the user was deleted.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub delete_date: Option<DateTime<Utc>>,
        /// What became of telling the webhook of the sign-up; left out when nobody wanted to be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub details: Option<Details>,
    }

    /// A page of users.
    pub struct UserPage {
        /// The users of this page, in the order of their creation.
        pub users: Vec<UserView>,
        /// How many there are on all pages.
        pub total_records: u64,
        /// The page after this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_url: Option<String>,
        /// The page before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub prev_url: Option<String>,
    }

    /// The caller's roles.
    pub struct OwnRoles {
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
    }

    /// A user's roles.
    pub struct UserRoles {
        /// The user's name.
        pub username: Username,
        /// The user's public id.
        pub public_id: UserId,
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
    }

    /// A user's name.
    pub struct NameOfUser {
        /// The name.
        pub username: Username,
    }

    /// A user's public id.
    pub struct IdOfUser {
        /// The public id.
        pub public_id: UserId,
    }
}

/// Whether the service behind the webhook has made the details of a user that it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Details {
    /// It has not answered yet that it has.
    Pending,
    /// It has.
    Created,
    /// Nobody asks it any more: the user was deleted before, or an operator gave up.
    Failed,
}

described!(Details, { "type": "string", "enum": ["pending", "created", "failed"] });

impl Reply for Created {
    const STATUS: u16 = 201;

    fn location(&self) -> Option<String> {
        Some(format!("/authy/user/{}", self.public_id))
    }
}
impl Reply for OwnView {}
impl Reply for UserView {}
impl Reply for UserPage {}
impl Reply for OwnRoles {}
impl Reply for UserRoles {}
impl Reply for NameOfUser {}
impl Reply for IdOfUser {}
