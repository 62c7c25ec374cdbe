//! The kinds of events, one row each: the name, the meaning, and the type of the detail.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::detail::{
    AllSessionsEndedDetail, CodeDetail, DeliveryDetail, ExportDetail, ExportTargetDetail, ForgottenHashesDetail,
    ImportDetail, IssuerDetail, KeyDetail, KeyRevocationDetail, LoginDetail, NewKeyDetail, NewRoleDetail, NoDetail,
    PasswordDetail, RefreshDetail, RegistrationDetail, ResealingDetail, ResetDetail, RoleDetail, SessionEndDetail,
    ThrottleDetail, TokenDetail,
};
use crate::{Invalid, Schema, api::Field};

/// An operation on every kind of event that needs the type of its detail.
pub trait DetailVisitor {
    /// Performs the operation for one kind.
    fn visit<D: Schema>(&mut self, kind: &EventKind);
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal $detail:ident;)+) => {
        /// The kind of an event. Its name is also the routing key of messages.
        #[non_exhaustive]
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\nIts detail is a [`", stringify!($detail), "`].")]
                $name,
            )+
            /// A kind that a later version added, with its name.
            Unknown(UnknownKind),
        }

        impl EventKind {
            /// All kinds that this version knows.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)+];

            /// Returns the name, which is also the routing key of messages.
            pub fn as_str(&self) -> &str {
                match self {
                    $(EventKind::$name => $text,)+
                    EventKind::Unknown(UnknownKind(name)) => name,
                }
            }

            /// Returns the meaning of the kind; empty when this version does not know it.
            pub fn meaning(&self) -> &'static str {
                match self {
                    $(EventKind::$name => concat!($($doc, "\n"),+).trim_ascii(),)+
                    EventKind::Unknown(_) => "",
                }
            }

            /// Visits every kind that this version knows, with the type of its detail.
            pub fn visit(visitor: &mut impl DetailVisitor) {
                $(visitor.visit::<$detail>(&EventKind::$name);)+
            }
        }

        impl FromStr for EventKind {
            type Err = Invalid;

            /// Returns the kind with this name.
            ///
            /// # Errors
            /// When this version does not know it. [`EventKind::named`] accepts such names.
            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($text => Ok(EventKind::$name),)+
                    _ => Err(Invalid::new("unknown_kind", "is not a kind of event")),
                }
            }
        }

        described!(EventKind, { "type": "string", "enum": [$($text),+] });
    };
}

kinds! {
    /// A user signed up or was created.
    UserRegistered "user.registered" RegistrationDetail;
    /// A user was imported from another system, or was changed by another import of the same source: `changed` says what.
    /// No mail is sent and no webhook is called. An import that changes password, address, roles or deletion revokes all
    /// access tokens, and ends the sessions where a login would no longer succeed.
    UserImported "user.imported" ImportDetail;
    /// A user was deleted. The row remains.
    UserDeleted "user.deleted" NoDetail;
    /// A deleted user was restored.
    UserRestored "user.restored" NoDetail;
    /// The personal data of a user was erased permanently.
    UserErased "user.erased" NoDetail;
    /// An email address was confirmed.
    UserValidated "user.validated" NoDetail;
    /// A user requested another code to confirm the email address.
    ValidationRequested "validation.requested" CodeDetail;
    /// A password reset was requested, or a user was invited to choose the first password. Without a subject when no account
    /// has the address.
    ResetRequested "reset.requested" ResetDetail;
    /// A password was changed.
    PasswordChanged "password.changed" PasswordDetail;
    /// A new email address was requested, and is not in effect yet.
    EmailRequested "email.requested" CodeDetail;
    /// An email address was changed, and is confirmed.
    EmailChanged "email.changed" NoDetail;
    /// The account lost an unconfirmed email address, because another account confirmed it. All its sessions have
    /// ended.
    EmailReleased "email.released" NoDetail;
    /// A user logged in.
    SessionOpened "session.opened" LoginDetail;
    /// A refresh token was exchanged.
    SessionRefreshed "session.refreshed" RefreshDetail;
    /// A used refresh token was presented again, so the session was ended.
    SessionReplayed "session.replayed" RefreshDetail;
    /// A session was ended.
    SessionEnded "session.ended" SessionEndDetail;
    /// Several sessions of a user were ended.
    SessionsEnded "sessions.ended" NoDetail;
    /// All sessions of all users were ended, and all access tokens and one-time codes revoked.
    AllSessionsEnded "sessions.all_ended" AllSessionsEndedDetail;
    /// An access token of a user was issued to the operator, in a session of its own.
    TokenIssued "token.issued" TokenDetail;
    /// Too many wrong passwords in a row: until a success, each further attempt has to wait. Sent once per series.
    /// Without a subject when no account has the name.
    AccountThrottled "account.throttled" ThrottleDetail;
    /// The wrong passwords at an account were forgotten: the next attempt does not have to wait.
    AccountUnlocked "account.unlocked" NoDetail;
    /// A role was created.
    RoleCreated "role.created" NewRoleDetail;
    /// A role was deleted.
    RoleDeleted "role.deleted" RoleDetail;
    /// A role was granted.
    RoleGranted "role.granted" RoleDetail;
    /// A role was revoked from a user.
    RoleRevoked "role.revoked" RoleDetail;
    /// A signing key was created.
    KeyCreated "key.created" NewKeyDetail;
    /// A signing key became the active one: it signs from now on.
    KeyActivated "key.activated" KeyDetail;
    /// A signing key was retired.
    KeyRetired "key.retired" KeyDetail;
    /// A signing key was revoked, and all tokens that it signed.
    KeyRevoked "key.revoked" KeyRevocationDetail;
    /// The signing keys, and the hashes that are kept for the first authy, were encrypted with another master key.
    KeyResealed "key.resealed" ResealingDetail;
    /// The issuer of the tokens was replaced. Each server names it from its next start on.
    IssuerChanged "issuer.changed" IssuerDetail;
    /// An export began to write users into the database of the first authy.
    ExportStarted "export.started" ExportTargetDetail;
    /// An export ended. Without this event, it was interrupted or failed.
    ExportFinished "export.finished" ExportDetail;
    /// The password hashes that were kept for the first authy were deleted.
    FallbackHashesForgotten "fallback_hashes.forgotten" ForgottenHashesDetail;
    /// An operator had a stuck event delivered again.
    DeliveryRetried "delivery.retried" DeliveryDetail;
    /// An operator skipped a stuck event.
    DeliverySkipped "delivery.skipped" DeliveryDetail;
    /// An operator dismissed an event whose delivery was given up: it is no longer listed as such.
    DeliveryDismissed "delivery.dismissed" DeliveryDetail;
}

/// The name of a kind of event that this version does not know. Only [`EventKind::named`] creates it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownKind(Box<str>);

impl EventKind {
    /// Returns the kind with this name: [`EventKind::Unknown`] when a later version added it.
    pub fn named(name: &str) -> Self {
        name.parse().unwrap_or_else(|_| Self::Unknown(UnknownKind(name.into())))
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::named(&name))
    }
}

impl Field for EventKind {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for EventKind {
    fn eq(&self, name: &str) -> bool {
        self.as_str() == name
    }
}

impl PartialEq<&str> for EventKind {
    fn eq(&self, name: &&str) -> bool {
        self == *name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_maps_back_to_its_kind() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse().as_ref(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_kind_of_a_later_version_keeps_its_name_and_cannot_be_searched_for() {
        let kind: EventKind = serde_json::from_value("user.promoted".into()).unwrap();
        assert!(matches!(kind, EventKind::Unknown(_)) && kind == "user.promoted");
        assert_eq!(serde_json::to_value(&kind).unwrap(), "user.promoted");
        assert!(EventKind::from_text("user.promoted").is_err());
    }

    proptest! {
        #[test]
        fn any_name_is_kept(name in "\\PC*|[a-z]{1,8}\\.[a-z]{1,10}") {
            let kind = EventKind::named(&name);
            prop_assert_eq!(kind.as_str(), name);
        }
    }
}
