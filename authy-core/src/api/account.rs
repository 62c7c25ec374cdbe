//! The life of an account: confirming its address, changing it, resetting its password, bringing it back, seeing all of it.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Field, Nothing, Reply, endpoints, field::differ, path::PathParam, requests, role::RoleView};
use crate::{
    Access, Email, Invalid, NewPassword, Secret, SessionId, UserId, Username,
    access::ADMIN,
    api::{event::EventView, user::UserView},
    time::{HttpDate, OptionalHttpDate},
};

const SUBJECT: &str = "account";

endpoints! {
    /// Change a user's password, address, or both; all of it or nothing.
    ///
    /// Oneself: with `current_password`, or in a session that was opened at most ten minutes ago. Somebody else: an
    /// administrator, for a user who is not more powerful.
    ///
    /// A new password ends every other session of the user's. A new address is not in force until the code that is sent to it
    /// comes back; until then `email` is the old one, which gets a notice. A taken address gets the same answer: its owner gets a
    /// notice, and no code is sent. A change that takes effect makes every access token of the
    /// user's void, the caller's own too: refresh it.
    ChangeUser: PUT "/authy/user/{public_id}" (UserId) AccountChange => UserView, Access::OwnOrLevel(ADMIN);
        fails InvalidInput | PasswordsDiffer | WeakPassword | InvalidCredentials | ReauthenticationRequired
            | BeyondYourLevel | NotFound | AlreadyDeleted | Overloaded;

    /// What a code from a mail confirms: the link in a mail leads here.
    ///
    /// Changes nothing, so that programs which open the links in mails confirm nothing. For a browser (`Accept: text/html`) it is
    /// a page with a button that sends the POST.
    GetValidation: GET "/authy/validate/{code}" (Code) Nothing => ValidationView, Access::Public; also page;
        fails NotFound | RateLimited;

    /// Confirm an address.
    ///
    /// A code works once. When it is sent again while the account still has the address, nothing changes and `already_confirmed`
    /// is true, for 30 days. Other accounts with the address, which had not confirmed it, lose it, and their sessions end: of more
    /// than a hundred the newest hundred, and the rest can never confirm it.
    /// 409 `already_registered` when somebody else has confirmed the address meanwhile. A form may send it
    /// (`application/x-www-form-urlencoded`, whose fields are not read); for a browser (`Accept: text/html`) the answer is a
    /// page.
    Validate: POST "/authy/validate/{code}" (Code) Nothing => Validated, Access::Public, Validate; also page;
        fails NotFound | AlreadyRegistered | RateLimited;

    /// Send me a fresh code to confirm my address with; the old one is void.
    ///
    /// 409 `already_registered` when somebody else has confirmed the address: choose another.
    ResendValidation: POST "/authy/validate/resend" () Nothing => Accepted, Access::Authenticated, Validate;
        fails RateLimited | AlreadyRegistered;

    /// Ask for a mail with a code that resets a password.
    ///
    /// The answer is the same, whether or not anybody has the address. When nobody has confirmed it, the mail is for the account
    /// that named it last. The reset then confirms the address, and ends the sessions, codes and known devices of that account.
    ForgotPassword: POST "/authy/password/forgot" () ForgottenPassword => Accepted, Access::Public, Forgot;
        fails InvalidInput;

    /// Choose a new password with the code from a mail. Every session of the user's ends.
    ResetPassword: POST "/authy/password/reset" () PasswordReset => Nothing, Access::Public, Validate;
        fails InvalidInput | PasswordsDiffer | WeakPassword | NotFound | Overloaded;

    /// Send a user a code that resets the password.
    SendReset: POST "/authy/user/{public_id}/reset" (UserId) Nothing => Accepted, Access::Level(ADMIN);
        fails NotFound | AlreadyDeleted | BeyondYourLevel;

    /// Bring a deleted user back, with name, address, password and roles.
    RestoreUser: POST "/authy/user/{public_id}/restore" (UserId) Nothing => Nothing, Access::Level(ADMIN);
        fails NotFound | NotDeleted | AlreadyDeleted | BeyondYourLevel;

    /// Everything that is held about me.
    ExportSelf: GET "/authy/user/export" () Nothing => Export, Access::Authenticated; fails Overloaded;

    /// Where to change one's password, for browsers and password managers
    /// ([A Well-Known URL for Changing Passwords](https://www.w3.org/TR/change-password-url/)). 404 unless a page is configured.
    FindPasswordPage: GET "/.well-known/change-password" () Nothing => PasswordPage, Access::Public; fails NotFound;
}

requests! {
    /// What to change; what is left out stays.
    pub struct AccountChange {
        /// The password that is in force, when one changes oneself and has not just logged in.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_option")]
        pub current_password: Option<Secret>,
        /// The new password: 8 to 256 characters, any characters, and not easily guessed.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_new_option")]
        pub password: Option<NewPassword>,
        /// The new password again.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_option")]
        pub confirm_password: Option<Secret>,
        /// The new address. One that another account has ever confirmed never comes into force.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub email: Option<Email>,
    }
    check password, confirm_password, email => change_is_complete;

    /// Whose password was forgotten.
    pub struct ForgottenPassword {
        /// The address of the account.
        pub email: Email,
    }

    /// A new password, and the code that permits it.
    pub struct PasswordReset {
        /// The code from the mail.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub code: Secret,
        /// The new password: 8 to 256 characters, any characters, and not easily guessed.
        #[serde(serialize_with = "crate::secret::dangerous_expose_new")]
        pub password: NewPassword,
        /// The same again.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub confirm_password: Secret,
    }
    check password, confirm_password => differ;
}

/// A password needs its confirmation and the confirmation its password, and something has to change.
fn change_is_complete(
    password: Option<&Option<NewPassword>>,
    confirmation: Option<&Option<Secret>>,
    email: Option<&Option<Email>>,
) -> Option<crate::error::FieldError> {
    let required = Invalid::new("required", "is required");
    match (password?, confirmation?, email?) {
        (Some(password), Some(confirmation), _) => differ(Some(password), Some(confirmation)),
        (Some(_), None, _) => Some(required.of("confirm_password")),
        (None, Some(_), _) => Some(required.of("password")),
        (None, None, None) => Some(Invalid::new("nothing_to_change", "password or email is required").of("password")),
        (None, None, Some(_)) => None,
    }
}

impl AccountChange {
    /// A new password for an account whose password is known.
    ///
    /// # Errors
    /// When nobody can have that password.
    pub fn password(current: Option<Secret>, password: Secret) -> Result<Self, Invalid> {
        let (new, again) = (NewPassword::new(password.clone())?, password);
        Ok(Self { current_password: current, password: Some(new), confirm_password: Some(again), email: None })
    }

    /// A new address.
    pub fn email(current: Option<Secret>, email: Email) -> Self {
        Self { current_password: current, password: None, confirm_password: None, email: Some(email) }
    }
}

impl PasswordReset {
    /// A new password; no typing mistake is possible, so the confirmation is the password itself.
    ///
    /// # Errors
    /// When nobody can have that password.
    pub fn new(code: Secret, password: Secret) -> Result<Self, Invalid> {
        let (password, confirm_password) = (NewPassword::new(password.clone())?, password);
        Ok(Self { code, password, confirm_password })
    }
}

/// A one-time code, from a mail.
#[derive(Clone)]
pub struct Code(Secret);

impl Code {
    /// A code as it was mailed.
    pub fn new(text: Secret) -> Self {
        Self(text)
    }

    /// The code itself.
    pub fn as_secret(&self) -> &Secret {
        &self.0
    }
}

impl Field for Code {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(Self(Secret::new(text)))
    }
}

// Into a path, which is where it has to go.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.expose())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PathParam for Code {}

described!(Code, { "type": "string" });

wire! {
    /// The address is confirmed.
    pub struct Validated {
        /// For people.
        pub message: String,
        /// Whose address it is.
        pub public_id: UserId,
        /// Whether the code had confirmed the address earlier.
        #[serde(default)]
        pub already_confirmed: bool,
    }

    /// What a code confirms.
    pub struct ValidationView {
        /// The address, shortened, but enough for its owner to recognize it: `a…@example.org`.
        pub email_hint: String,
        /// What the address is confirmed for.
        pub purpose: ValidationPurpose,
        /// Whether the code has already confirmed the address.
        pub already_confirmed: bool,
    }

    /// It will be done.
    pub struct Accepted {
        /// For people.
        pub message: String,
    }

    /// Everything that is held about a user, except what is only good for recognizing the password.
    pub struct Export {
        /// The account.
        pub user: ExportedUser,
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
        /// The sessions, those that are over too for as long as they are kept.
        pub sessions: Vec<ExportedSession>,
        /// What was done by the user or to the user, newest first.
        pub events: Vec<EventView>,
    }

    /// An account.
    pub struct ExportedUser {
        /// The public id.
        pub public_id: UserId,
        /// The name.
        pub username: Username,
        /// The address.
        pub email: Email,
        /// The address that was asked for and is not confirmed yet.
        pub pending_email: Option<Email>,
        /// When the user signed up.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// When the user logged in last.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub last_login: Option<DateTime<Utc>>,
        /// When the address was confirmed.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub validated: Option<DateTime<Utc>>,
        /// When the password was changed last.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub password_changed: Option<DateTime<Utc>>,
    }

    /// A session.
    pub struct ExportedSession {
        /// Which.
        pub session_id: SessionId,
        /// When it was opened.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// When it was used last.
        #[serde(with = "HttpDate")]
        pub last_used: DateTime<Utc>,
        /// When it is over at the latest.
        #[serde(with = "HttpDate")]
        pub expires: DateTime<Utc>,
        /// When it was ended.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub ended: Option<DateTime<Utc>>,
        /// The address it was opened from.
        pub ip: Option<String>,
        /// What it was opened with.
        pub user_agent: Option<String>,
    }

    /// Where to change one's password.
    pub struct PasswordPage {
        /// The page.
        pub url: String,
    }
}

/// What an address is confirmed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationPurpose {
    /// It is the address of a new account.
    SignUp,
    /// It becomes the address of an account that has another one.
    NewAddress,
}

described!(ValidationPurpose, { "type": "string", "enum": ["sign_up", "new_address"] });

impl Reply for Validated {}
impl Reply for ValidationView {}
impl Reply for Accepted {
    const STATUS: u16 = 202;
}
impl Reply for Export {}
impl Reply for PasswordPage {
    // Temporary, as the specification has it: the page can move.
    const STATUS: u16 = 302;

    fn location(&self) -> Option<String> {
        Some(self.url.clone())
    }
}
