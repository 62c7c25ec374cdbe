//! Account management: confirming the email address, changing the account, resetting the password, restoring, exporting.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Field, Nothing, Reply, endpoints, field::differ, path::PathParam, requests, role::RoleView};
use crate::{
    Access, Email, Error, Invalid, NewPassword, Result, Secret, SessionId, UserId, Username,
    access::ADMIN,
    api::{event::EventView, user::UserView},
    time::{HttpDate, OptionalHttpDate},
};

const SUBJECT: &str = "account";

endpoints! {
    /// Change a user's password, email address, or both, in one transaction.
    ///
    /// For the caller's own account: with `current_password`, or in a session that was opened at most 10 minutes ago. For another
    /// account: by an administrator, when the user is not more powerful than the administrator.
    ///
    /// A new password ends all other sessions of the user. A new address takes effect when its owner submits the code that is
    /// sent to it; until then `email` is the old address, which gets a notice. The response for a taken address is the same: its
    /// owner gets a notice, and no code is sent. A change that takes effect revokes all access tokens of the user, including the
    /// caller's own: refresh it.
    ChangeUser: PUT "/authy/user/{public_id}" (UserId) AccountChange => UserView, Access::OwnOrLevel(ADMIN);
        fails InvalidInput | PasswordsDiffer | WeakPassword | InvalidCredentials | ReauthenticationRequired
            | BeyondYourLevel | NotFound | AlreadyDeleted | Overloaded;

    /// Show what a one-time code confirms. The link in a mail leads here.
    ///
    /// Changes nothing, so that programs which open the links in mails do not confirm anything. For a browser
    /// (`Accept: text/html`) the response is a page with a button that sends the POST.
    GetValidation: GET "/authy/validate/{code}" (Code) Nothing => ValidationView, Access::Public; also page;
        fails NotFound | RateLimited;

    /// Confirm an email address.
    ///
    /// A code works once. For 30 days, when it is sent again and the account still has the address, nothing changes and
    /// `already_confirmed` is true. Other accounts with the same unconfirmed address lose it, and their sessions end. This
    /// applies to the newest 100 of them; the others can no longer confirm it. 409 `already_registered` when another account has
    /// confirmed the address meanwhile. The request can be a form (`application/x-www-form-urlencoded`, whose fields are
    /// ignored). For a browser (`Accept: text/html`) the response is a page.
    Validate: POST "/authy/validate/{code}" (Code) Nothing => Validated, Access::Public, Validate; also page;
        fails NotFound | AlreadyRegistered | RateLimited;

    /// Send the caller a new code to confirm the email address. Earlier codes become invalid.
    ///
    /// 409 `already_registered` when another account has confirmed the address: choose another one.
    ResendValidation: POST "/authy/validate/resend" () Nothing => Accepted, Access::Authenticated, Validate;
        fails RateLimited | AlreadyRegistered;

    /// Request a mail with a code that resets the password.
    ///
    /// The response is the same whether or not an account has the address. When no account has confirmed it, the mail is for the
    /// account that entered it last. The reset then confirms the address, and ends the sessions, codes and known devices of that
    /// account.
    ForgotPassword: POST "/authy/password/forgot" () ForgottenPassword => Accepted, Access::Public, Forgot;
        fails InvalidInput;

    /// Set a new password, or the first one, with the code from a mail. Ends all sessions of the user.
    ResetPassword: POST "/authy/password/reset" () PasswordReset => Nothing, Access::Public, Validate;
        fails InvalidInput | PasswordsDiffer | WeakPassword | NotFound | Overloaded;

    /// Send a user a code that resets the password.
    ///
    /// A user who has no password yet is sent another invitation. Earlier codes stay valid.
    SendReset: POST "/authy/user/{public_id}/reset" (UserId) Nothing => Accepted, Access::Level(ADMIN);
        fails NotFound | AlreadyDeleted | BeyondYourLevel;

    /// Restore a deleted user, with name, email address, password and roles.
    RestoreUser: POST "/authy/user/{public_id}/restore" (UserId) Nothing => Nothing, Access::Level(ADMIN);
        fails NotFound | NotDeleted | AlreadyDeleted | BeyondYourLevel;

    /// Export all data stored about the caller.
    ExportSelf: GET "/authy/user/export" () Nothing => Export, Access::Authenticated; fails Overloaded;

    /// Redirect to the page where users change their password, for browsers and password managers ([A Well-Known URL for Changing
    /// Passwords](https://www.w3.org/TR/change-password-url/)). 404 unless a page is configured.
    FindPasswordPage: GET "/.well-known/change-password" () Nothing => PasswordPage, Access::Public; fails NotFound;
}

requests! {
    /// A change of an account. Omitted fields stay unchanged.
    pub struct AccountChange {
        /// The current password. Required for the caller's own account, unless the caller logged in at most 10 minutes ago.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_option")]
        pub current_password: Option<Secret>,
        /// The new password: 8 to 256 characters, any characters, and not easy to guess.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_new_option")]
        pub password: Option<NewPassword>,
        /// The new password again.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::secret::dangerous_expose_option")]
        pub confirm_password: Option<Secret>,
        /// The new email address. It never takes effect when another account has ever confirmed it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub email: Option<Email>,
    }
    check password, confirm_password, email => change_is_complete;

    /// A request for a password reset mail.
    pub struct ForgottenPassword {
        /// The email address of the account.
        pub email: Email,
    }

    /// A new password, and the code that permits setting it.
    pub struct PasswordReset {
        /// The code from the mail.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        #[cfg_attr(feature = "schema", schemars(with = "String", example = CODE))]
        pub code: Secret,
        /// The new password: 8 to 256 characters, any characters, and not easy to guess.
        #[serde(serialize_with = "crate::secret::dangerous_expose_new")]
        pub password: NewPassword,
        /// The new password again.
        #[serde(serialize_with = "crate::secret::dangerous_expose")]
        pub confirm_password: Secret,
    }
    check password, confirm_password => differ;
}

/// Checks that a password has its confirmation and vice versa, and that there is something to change.
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
    /// Creates a change of the password. The confirmation is the password itself, because no typing error is possible.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the password is too short or too long.
    pub fn password(current: Option<Secret>, password: impl Into<Secret>) -> Result<Self> {
        let again = password.into();
        let new = new_password(again.clone())?;
        Ok(Self { current_password: current, password: Some(new), confirm_password: Some(again), email: None })
    }

    /// Creates a change of the email address.
    pub fn email(current: Option<Secret>, email: Email) -> Self {
        Self { current_password: current, password: None, confirm_password: None, email: Some(email) }
    }
}

impl PasswordReset {
    /// Creates a reset. The confirmation is the password itself, because no typing error is possible.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the password is too short or too long.
    pub fn new(code: impl Into<Secret>, password: impl Into<Secret>) -> Result<Self> {
        let confirm_password = password.into();
        let password = new_password(confirm_password.clone())?;
        Ok(Self { code: code.into(), password, confirm_password })
    }
}

fn new_password(password: Secret) -> Result<NewPassword> {
    NewPassword::new(password).map_err(|why| Error::invalid(vec![why.of("password")]))
}

/// A one-time code from a mail.
#[derive(Clone)]
pub struct Code(Secret);

impl Code {
    /// Creates a code from the text in the mail.
    pub fn new(text: Secret) -> Self {
        Self(text)
    }

    /// Returns the text of the code.
    pub fn as_secret(&self) -> &Secret {
        &self.0
    }
}

impl Field for Code {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(Self(Secret::new(text)))
    }
}

// For the path of a request, which must contain the code.
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

#[cfg(feature = "schema")]
const CODE: &str = "XoN0mFbTRPCVdT0gxJ4l7mFjIG9mIGEgb25lLXRpbWUgY29kZQ";

described!(Code, { "type": "string", "examples": [CODE] });

wire! {
    /// The result of confirming an email address.
    pub struct Validated {
        /// A message for people.
        #[cfg_attr(feature = "schema", schemars(example = &"The address is confirmed"))]
        pub message: String,
        /// The user whose address is confirmed.
        pub public_id: UserId,
        /// Whether the code had already confirmed the address.
        #[serde(default)]
        pub already_confirmed: bool,
    }

    /// The effect of a one-time code.
    pub struct ValidationView {
        /// The email address, shortened so that only its owner recognizes it: `a…@example.org`.
        #[cfg_attr(feature = "schema", schemars(example = &"a…@example.org"))]
        pub email_hint: String,
        /// The purpose of the confirmation.
        pub purpose: ValidationPurpose,
        /// Whether the code has already confirmed the address.
        pub already_confirmed: bool,
    }

    /// The request was accepted and will be carried out.
    pub struct Accepted {
        /// A message for people.
        #[cfg_attr(feature = "schema", schemars(example = &"A mail is on its way"))]
        pub message: String,
    }

    /// All data stored about a user, except data that only serves to verify the password.
    pub struct Export {
        /// The account.
        pub user: ExportedUser,
        /// The roles, most powerful first.
        pub roles: Vec<RoleView>,
        /// The sessions, including ended ones that are still stored.
        pub sessions: Vec<ExportedSession>,
        /// The events whose actor or subject is the user, newest first.
        pub events: Vec<EventView>,
    }

    /// An account, in an export.
    pub struct ExportedUser {
        /// The public ID.
        pub public_id: UserId,
        /// The name.
        pub username: Username,
        /// The address.
        pub email: Email,
        /// The requested email address that is not confirmed yet.
        #[cfg_attr(feature = "schema", schemars(example = ()))]
        pub pending_email: Option<Email>,
        /// The time of the sign-up.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// The time of the last login.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub last_login: Option<DateTime<Utc>>,
        /// The time when the address was confirmed.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub validated: Option<DateTime<Utc>>,
        /// The time of the last change of the password.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default))]
        pub password_changed: Option<DateTime<Utc>>,
    }

    /// A session, in an export.
    pub struct ExportedSession {
        /// The session ID.
        pub session_id: SessionId,
        /// The time of the login.
        #[serde(with = "HttpDate")]
        pub created: DateTime<Utc>,
        /// The time when tokens were last issued.
        #[serde(with = "HttpDate")]
        pub last_used: DateTime<Utc>,
        /// The latest time when the session ends.
        #[serde(with = "HttpDate")]
        pub expires: DateTime<Utc>,
        /// The time when the session was ended.
        #[serde(default, with = "OptionalHttpDate")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<HttpDate>", !default, example = ()))]
        pub ended: Option<DateTime<Utc>>,
        /// The remote address of the login.
        #[cfg_attr(feature = "schema", schemars(example = &"203.0.113.7"))]
        pub ip: Option<String>,
        /// The `User-Agent` of the login.
        #[cfg_attr(feature = "schema", schemars(example = &"curl/8.5.0"))]
        pub user_agent: Option<String>,
    }

    /// The page where users change their password.
    pub struct PasswordPage {
        /// The URL of the page.
        #[cfg_attr(feature = "schema", schemars(example = &"https://shop.example/account/password"))]
        pub url: String,
    }
}

/// The purpose of confirming an email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationPurpose {
    /// The address of a new account.
    SignUp,
    /// A new address of an existing account.
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
    // Temporary, as the specification requires, because the page can move.
    const STATUS: u16 = 302;

    fn location(&self) -> Option<String> {
        Some(self.url.clone())
    }
}
