//! Users: sign-up, the caller's own account, and administration.

use chrono::{DateTime, Utc};

use super::{
    Fields, Nothing, Reply, endpoints,
    field::{differ, unreported},
    page::{ListCursor, PageNumber, PageSize, either},
    requests,
    role::RoleView,
    vocabulary::existing_role,
};
use crate::{
    Access, Email, Level, NewPassword, Result, RoleName, Secret, UserId, Username,
    access::ADMIN,
    time::{HttpDate, OptionalHttpDate},
};

const SUBJECT: &str = "user";

endpoints! {
    /// Sign up.
    ///
    /// The new user has the role `user`. A taken or reserved username, or one that looks like a reserved one or like an
    /// administrator's, is 409 `already_registered`, and `fields` lists the username. A taken email address has the same code
    /// and is not listed.
    ///
    /// A username stays taken permanently, even after its user is deleted. An email address is taken once an account has
    /// confirmed it: of all accounts that sign up with an address, the first to confirm it keeps it, and the others lose it.
    Register: POST "/authy/user" () NewUser => Created, Access::Public, Register;
        fails InvalidInput | PasswordsDiffer | WeakPassword | AlreadyRegistered | Overloaded;

    /// Get the caller's account.
    GetSelf: GET "/authy/user" () Nothing => OwnView, Access::Authenticated;

    /// Delete the caller's account.
    ///
    /// The row remains, so that the name stays taken. Revokes all tokens immediately.
    DeleteSelf: DELETE "/authy/user" () Nothing => Nothing, Access::Authenticated; fails LastOfItsKind;

    /// List the caller's roles, most powerful first.
    GetOwnRoles: GET "/authy/user/role" () Nothing => OwnRoles, Access::Authenticated;

    /// Create a user for another person.
    ///
    /// Without a password, the user is invited: a mail brings a code that sets one with `POST /authy/password/reset`, and
    /// confirms the address. Before that, a login is answered as with a wrong password. The code is valid for 7 days, unless the
    /// server is configured otherwise, and until the account changes; `POST /authy/user/{public_id}/reset` sends another.
    ///
    /// With a password, the user is mailed a code that confirms the address, as after a sign-up. With `validated`, the caller
    /// vouches for the address: accounts that have it unconfirmed lose it. 403 `beyond_your_level` when the role, or the user of
    /// such an account, is more powerful than the caller. Where administrators may not set passwords, a password is 403
    /// `insufficient_level`.
    ///
    /// The default rate limit applies, not that of sign-ups: to create many users, wait for `Retry-After` after a 429.
    CreateUser: POST "/authy/users" () NewAccount => Created, Access::Level(ADMIN);
        fails InvalidInput | WeakPassword | AlreadyRegistered | BeyondYourLevel | Overloaded;

    /// List users, deleted ones included, one page at a time.
    ///
    /// They are ordered by creation; with `role`, in the order in which they were granted it; with `q`, by the username or the
    /// address that begins with it, alphabetically. A user is listed when all given filters apply.
    ///
    /// `next_url` and `prev_url` lead from page to page: they keep the filters, and have a position (`after`) instead of a page
    /// number, so that any page takes as long as the first one. A user who is there all the time is on exactly one of the pages,
    /// whichever users are added or deleted meanwhile, unless the name or address changes that a search is ordered by. When the
    /// filters select few of very many users, a page can have fewer users than `per_page`, or none, although `next_url` shows
    /// that there are more. Only the first 100 pages have a number, and fewer with such filters: a `page` beyond them is 400
    /// `page_too_far`.
    ListUsers: GET "/authy/users" () UserQuery => UserPage, Access::Level(ADMIN); fails InvalidInput | PageTooFar;

    /// Get a user, deleted or not.
    GetUser: GET "/authy/user/{public_id}" (UserId) Nothing => UserView, Access::Level(ADMIN); fails NotFound;

    /// Delete a user; with `erase`, permanently.
    ///
    /// Ends all sessions of the user. After erasure, name and email address stay taken (as keyed hashes), and all other personal
    /// data is removed from the account and the audit trail; this requires the most powerful role. Users who are already deleted
    /// can be erased.
    DeleteUser: DELETE "/authy/user/{public_id}" (UserId) Deletion => Nothing, Access::Level(ADMIN);
        fails InvalidInput | NotFound | AlreadyDeleted | BeyondYourLevel | LastOfItsKind;

    /// List a user's roles, most powerful first.
    GetUserRoles: GET "/authy/user/{public_id}/role" (UserId) Nothing => UserRoles, Access::Level(ADMIN); fails NotFound;

    /// Get the username of a user who is not deleted. Other services call this without a token.
    GetUsername: GET "/authy/username/{public_id}" (UserId) Nothing => NameOfUser, Access::Public; fails NotFound;

    /// Get the public ID of the user with this name, unless the user is deleted.
    FindUser: GET "/authy/fetch/{username}" (Username) Nothing => IdOfUser, Access::Public; fails NotFound;
}

requests! {
    /// A sign-up.
    pub struct NewUser {
        /// The username. It must be different from all current and former ones.
        pub username: Username,
        /// The email address. No account may ever have confirmed it.
        pub email: Email,
        /// The password: 8 to 256 characters, any characters, and not easy to guess.
        #[serde(serialize_with = "crate::secret::dangerous_expose_new")]
        pub password: NewPassword,
        /// The password again.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub confirm_password: Secret,
    }
    check password, confirm_password => differ;

    /// An account that is created for another person.
    pub struct NewAccount {
        /// The username. It must be different from all current and former ones.
        pub username: Username,
        /// The email address. No account may ever have confirmed it.
        pub email: Email,
        /// The password: 8 to 256 characters, any characters, and not easy to guess. Without one, the user is invited by mail
        /// to choose it.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_new_option")]
        pub password: Option<NewPassword>,
        /// The name of the role. Default: `user`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<String>", example = &"auctioneer"))]
        pub role: Option<RoleName> => existing_role,
        /// Whether the creator vouches for the email address, so that it is confirmed from the beginning. Default: false.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub validated: Option<bool>,
    }

    /// The options of a deletion.
    #[derive(Default)]
    pub struct Deletion {
        /// Whether to erase the personal data. Default: false.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub erase: Option<bool>,
    }

    /// A page of users, and a filter. The default is the first page of all users.
    #[derive(Default)]
    pub struct UserQuery {
        /// The page number, starting with 1, at most 100.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub page: Option<PageNumber>,
        /// The number of users per page: 1 to 100, default 20.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub per_page: Option<PageSize>,
        /// The beginning of a username or an email address.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub q: Option<String>,
        /// Only users who have the role with this name. 400 when there is no such role.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<String>", example = &"auctioneer"))]
        pub role: Option<RoleName> => existing_role,
        /// Only deleted users (true), or only users who are not deleted (false).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub deleted: Option<bool>,
        /// Only users whose email address is confirmed (true), or only the others (false).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub validated: Option<bool>,
        /// The position of the page, from a link to it, instead of `page` and with the same filters.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub after: Option<ListCursor>,
    }
    check page, after => either;
}

impl Deletion {
    /// Deletes the user and keeps the row.
    pub const PLAIN: Self = Self { erase: None };

    /// Erases the personal data permanently.
    pub const ERASE: Self = Self { erase: Some(true) };
}

impl NewUser {
    /// Creates a sign-up. The confirmation is the password itself, because no typing error is possible.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) with every invalid value.
    pub fn new(username: &str, email: &str, password: impl Into<Secret>) -> Result<Self> {
        let confirm_password = password.into();
        let mut fields = Fields::none();
        let username = fields.check("username", username.parse());
        let email = fields.check("email", email.parse());
        let password = fields.check("password", NewPassword::new(confirm_password.clone()));
        fields.finish()?;
        match (username, email, password) {
            (Some(username), Some(email), Some(password)) => Ok(Self { username, email, password, confirm_password }),
            _ => Err(unreported()),
        }
    }
}

impl NewAccount {
    /// Creates an account with the role `user`, whose user is invited by mail to choose a password.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) with every invalid value.
    pub fn new(username: &str, email: &str) -> Result<Self> {
        let mut fields = Fields::none();
        let username = fields.check("username", username.parse());
        let email = fields.check("email", email.parse());
        fields.finish()?;
        match (username, email) {
            (Some(username), Some(email)) => Ok(Self { username, email, password: None, role: None, validated: None }),
            _ => Err(unreported()),
        }
    }
}

wire! {
    /// The created user.
    pub struct Created {
        /// The public ID of the user.
        pub public_id: UserId,
    }

    /// The caller's account.
    pub struct OwnView {
        /// The caller's public ID.
        pub public_id: UserId,
        /// The caller's username.
        pub username: Username,
        /// The caller's email address.
        pub email: Email,
        /// The time of the sign-up.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// The time of the last login.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub last_login: Option<DateTime<Utc>>,
    }

    /// A user, as administrators see it.
    pub struct UserView {
        /// The user's public ID.
        pub public_id: UserId,
        /// The username.
        pub username: Username,
        /// The user's email address.
        pub email: Email,
        /// The names of the user's roles, most powerful first.
        pub roles: Vec<RoleName>,
        /// The level: that of the most powerful role; `null` for a user without roles, who cannot log in.
        pub level: Option<Level>,
        /// The time of the sign-up.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// The time of the last login.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub last_login: Option<DateTime<Utc>>,
        /// Whether the email address is confirmed.
        pub validated: bool,
        /// Whether the user is deleted.
        pub deleted: bool,
        /// The time of the deletion.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default, example = ()))]
        pub delete_date: Option<DateTime<Utc>>,
        /// The state of the delivery of the sign-up to the webhook; absent without a webhook.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub details: Option<Details>,
    }

    /// A page of users.
    pub struct UserPage {
        /// The users of this page, in the order of the list.
        pub users: Vec<UserView>,
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

    /// The caller's roles.
    pub struct OwnRoles {
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
    }

    /// A user's roles.
    pub struct UserRoles {
        /// The username.
        pub username: Username,
        /// The user's public ID.
        pub public_id: UserId,
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
    }

    /// A user's name.
    pub struct NameOfUser {
        /// The username.
        pub username: Username,
    }

    /// A user's public id.
    pub struct IdOfUser {
        /// The public ID.
        pub public_id: UserId,
    }
}

/// Whether the service behind the webhook has created its record of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Details {
    /// The service has not answered yet.
    Pending,
    /// The service has created its record.
    Created,
    /// It will not be notified any more: the user was deleted before, it has not accepted the event for too long, or an
    /// operator skipped the event.
    Failed,
}

described!(Details, { "type": "string", "enum": ["pending", "created", "failed"] });

impl UserView {
    /// Returns whether the personal data was erased, so that the user cannot be restored.
    pub fn is_erased(&self) -> bool {
        self.deleted && self.username.as_str() == erased_username(self.public_id)
    }
}

/// Returns the name of an erased user. No other user can have it, because it contains the ID.
pub(crate) fn erased_username(user: UserId) -> String {
    format!("erased-{}", user.as_uuid().simple())
}

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
