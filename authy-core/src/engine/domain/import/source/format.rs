//! The formats of files.

use std::{fmt, str::FromStr};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use super::document::{flag, millis, text, texts, time};
use crate::{
    Invalid, Secret,
    engine::domain::import::{
        record::{ImportRecord, SkippedRow},
        report::ImportNoteKind,
    },
    time::now,
};

/// The format of a file of users.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ImportFormat {
    /// An [`ImportRecord`] a line, as JSON.
    JsonLines,
    /// A realm that Keycloak exported, with its users in the same file (`--users same_file`).
    Keycloak,
    /// The lines of an export of Auth0, with the field `passwordHash`, or of its format for imports.
    Auth0,
    /// The JSON of `firebase auth:export`. Without the parameters of the project, users get no password.
    Firebase(Option<FirebaseHash>),
    /// The rows of `auth.users` of Supabase, as JSON lines or a list: `SELECT to_jsonb(u) FROM auth.users u`.
    Supabase,
}

/// The parameters of the hashes of a Firebase project, from the page of its users ("Password hash parameters").
#[derive(Clone, Debug)]
pub struct FirebaseHash {
    /// `base64_signer_key`.
    pub signer_key: Secret,
    /// `base64_salt_separator`.
    pub salt_separator: String,
    /// `rounds`.
    pub rounds: u32,
    /// `mem_cost`, the binary logarithm of scrypt's cost.
    pub mem_cost: u32,
}

impl FromStr for FirebaseHash {
    type Err = Invalid;

    /// Reads what the console of Firebase shows: `hash_config { … }`, with a line `name: value,` for each parameter.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fields = text.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(':'));
        let fields: Vec<_> = fields.map(|(name, value)| (name.trim(), value.trim())).collect();
        let field = |wanted| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let parsed = || {
            Some(Self {
                signer_key: Secret::new(field("base64_signer_key")?),
                salt_separator: field("base64_salt_separator")?.to_owned(),
                rounds: field("rounds")?.parse().ok()?,
                mem_cost: field("mem_cost")?.parse().ok()?,
            })
        };
        parsed().ok_or(Invalid::new(
            "invalid_hash_config",
            "must have base64_signer_key, base64_salt_separator, rounds and mem_cost, each on a line",
        ))
    }
}

impl ImportFormat {
    /// Returns the name: `jsonl`, `keycloak`, `auth0`, `firebase` or `supabase`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Keycloak => "keycloak",
            Self::Auth0 => "auth0",
            Self::Firebase(_) => "firebase",
            Self::Supabase => "supabase",
        }
    }

    /// Returns whether a file is one document.
    pub(super) fn is_document(&self) -> bool {
        matches!(self, Self::Keycloak | Self::Firebase(_))
    }

    /// Returns whether users who have a name log in with it or with their address.
    pub(super) fn accepts_addresses(&self) -> bool {
        matches!(self, Self::Keycloak | Self::Auth0)
    }

    /// Reads a user.
    pub(super) fn read(&self, user: Value) -> Result<ImportRecord, SkippedRow> {
        match self {
            Self::JsonLines => {
                serde_json::from_value(user).map_err(|error| SkippedRow::unreadable(format!("no user: {error}")))
            }
            Self::Keycloak if text(&user, "serviceAccountClientId").is_some() => Err(SkippedRow {
                id: text(&user, "id"),
                kind: ImportNoteKind::ServiceAccount,
                reason: "the service account of a client, and no person: the row is left out".to_owned(),
            }),
            Self::Keycloak => Ok(keycloak(&user)),
            Self::Auth0 => Ok(auth0(&user)),
            Self::Firebase(hash) => Ok(firebase(&user, hash.as_ref())),
            Self::Supabase => Ok(supabase(&user)),
        }
    }
}

impl fmt::Display for ImportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ImportFormat {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        [Self::JsonLines, Self::Keycloak, Self::Auth0, Self::Firebase(None), Self::Supabase]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or(Invalid::new("unknown_format", "must be jsonl, keycloak, auth0, firebase or supabase"))
    }
}

/// A user of a system that logs in by name or address: without another name, the address is the name.
fn named(record: ImportRecord) -> ImportRecord {
    let username = record.username.clone().or_else(|| record.email.clone());
    // The ID is the public ID if it can be.
    let public_id =
        record.id.clone().filter(|id| id.parse::<crate::UserId>().is_ok_and(|id| id.as_uuid().get_version_num() == 4));
    ImportRecord { username, public_id, ..record }
}

fn keycloak(user: &Value) -> ImportRecord {
    let credentials = user.get("credentials").and_then(Value::as_array).into_iter().flatten();
    let password = credentials.clone().find(|credential| credential.get("type") == Some(&"password".into()));
    let roles: Vec<String> = texts(user, "realmRoles").into_iter().filter(|role| !is_of_keycloak(role)).collect();
    named(ImportRecord {
        id: text(user, "id"),
        username: text(user, "username"),
        email: text(user, "email"),
        validated: flag(user, "emailVerified"),
        password_hash: password.and_then(keycloak_hash).map(Secret::new),
        created: millis(user, "createdTimestamp"),
        // A disabled user must not log in.
        deleted: user.get("enabled") == Some(&Value::Bool(false)),
        roles: Some(roles).filter(|roles| !roles.is_empty()),
        ..ImportRecord::default()
    })
}

/// Returns whether Keycloak makes a role by itself, for its own pages.
fn is_of_keycloak(role: &str) -> bool {
    role.starts_with("default-roles-") || ["offline_access", "uma_authorization"].contains(&role)
}

/// Returns the PHC string of a password of Keycloak.
fn keycloak_hash(credential: &Value) -> Option<String> {
    let parsed = |field| serde_json::from_str::<Value>(credential.get(field)?.as_str()?).ok();
    let (secret, parameters) = (parsed("secretData")?, parsed("credentialData")?);
    let unpadded = |field| Some(STANDARD_NO_PAD.encode(STANDARD.decode(text(&secret, field)?).ok()?));
    let (salt, hash, iterations) = (unpadded("salt")?, unpadded("value")?, text(&parameters, "hashIterations")?);
    let algorithm = text(&parameters, "algorithm")?;
    if algorithm != "argon2" {
        return Some(format!("${algorithm}$i={iterations}${salt}${hash}"));
    }
    // Every parameter is a list with one text.
    let parameter = |name| Some(texts(parameters.get("additionalParameters")?, name).first()?.clone());
    let version = if parameter("version")? == "1.0" { 16 } else { 19 };
    let (kind, memory, lanes) = (parameter("type")?, parameter("memory")?, parameter("parallelism")?);
    Some(format!("$argon2{kind}$v={version}$m={memory},t={iterations},p={lanes}${salt}${hash}"))
}

fn auth0(user: &Value) -> ImportRecord {
    let id = text(user, "user_id").or_else(|| text(user, "_id.$oid")).or_else(|| text(user, "_id"));
    let hash = text(user, "passwordHash").or_else(|| text(user, "password_hash"));
    // bcrypt, argon2 and pbkdf2 have texts that say everything; others cannot be verified, and the report says so.
    let custom = || text(user, "custom_password_hash.hash.value");
    named(ImportRecord {
        id,
        username: text(user, "username"),
        email: text(user, "email"),
        validated: flag(user, "email_verified"),
        password_hash: hash.or_else(custom).map(Secret::new),
        created: time(user, "created_at"),
        last_login: time(user, "last_login"),
        deleted: flag(user, "blocked"),
        ..ImportRecord::default()
    })
}

fn firebase(user: &Value, parameters: Option<&FirebaseHash>) -> ImportRecord {
    let hash = parameters.and_then(|parameters| firebase_hash(user, parameters));
    let email = text(user, "email");
    named(ImportRecord {
        id: text(user, "localId"),
        username: email.clone().or_else(|| text(user, "phoneNumber")),
        email,
        validated: flag(user, "emailVerified"),
        password_hash: hash.map(Secret::new),
        created: millis(user, "createdAt"),
        last_login: millis(user, "lastSignedInAt"),
        deleted: flag(user, "disabled"),
        ..ImportRecord::default()
    })
}

/// Returns the hash in the form in which Supabase stores those of Firebase.
fn firebase_hash(user: &Value, parameters: &FirebaseHash) -> Option<String> {
    let (salt, hash) = (base64(&text(user, "salt")?)?, base64(&text(user, "passwordHash")?)?);
    let FirebaseHash { signer_key, salt_separator, rounds, mem_cost } = parameters;
    let (key, separator) = (base64(signer_key.expose())?, base64(salt_separator)?);
    Some(format!("$fbscrypt$v=1,n={mem_cost},r={rounds},p=1,ss={separator},sk={key}${salt}${hash}"))
}

/// Returns base64 of the standard alphabet with padding, of any of its forms.
fn base64(text: &str) -> Option<String> {
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| {
            if c == '+' {
                '-'
            } else if c == '/' {
                '_'
            } else {
                c
            }
        })
        .collect();
    URL_SAFE_NO_PAD.decode(text).ok().map(|bytes| STANDARD.encode(bytes))
}

/// A user of Supabase, who logs in by address or, without one, by phone number. The metadata of a user is no name: every user can write anything into it, also
/// the name or the address of another one.
fn supabase(user: &Value) -> ImportRecord {
    let banned_until = time(user, "banned_until");
    let deleted_at = time(user, "deleted_at");
    let email = text(user, "email");
    named(ImportRecord {
        id: text(user, "id"),
        username: email.clone().or_else(|| text(user, "phone")),
        email,
        validated: text(user, "email_confirmed_at").is_some(),
        password_hash: text(user, "encrypted_password").map(Secret::new),
        created: time(user, "created_at"),
        last_login: time(user, "last_sign_in_at"),
        deleted: deleted_at.is_some() || banned_until.is_some_and(|until| until > now()),
        delete_date: deleted_at,
        ..ImportRecord::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn formats() -> [ImportFormat; 5] {
        let hash = FirebaseHash {
            signer_key: Secret::new("c2lnbmVy"),
            salt_separator: "Bw==".to_owned(),
            rounds: 8,
            mem_cost: 14,
        };
        [
            ImportFormat::JsonLines,
            ImportFormat::Keycloak,
            ImportFormat::Auth0,
            ImportFormat::Firebase(Some(hash)),
            ImportFormat::Supabase,
        ]
    }

    /// Any JSON, with the names of the fields that are read.
    fn values() -> impl Strategy<Value = Value> {
        let names = [
            "id",
            "username",
            "email",
            "credentials",
            "secretData",
            "credentialData",
            "type",
            "password",
            "algorithm",
            "salt",
            "value",
            "hashIterations",
            "additionalParameters",
            "createdTimestamp",
            "created_at",
            "banned_until",
            "localId",
            "passwordHash",
            "custom_password_hash",
            "hash",
            "_id",
            "$oid",
            "realmRoles",
            "roles",
            "createdAt",
            "phone",
            "phoneNumber",
        ];
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            "\\PC{0,12}|[A-Za-z0-9+/=_-]{0,12}|\\{\"value\":\"[A-Za-z=]{0,8}\"\\}".prop_map(Value::from),
            Just(Value::Null),
            Just(json!("password")),
            Just(json!("argon2")),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let fields = proptest::collection::vec((proptest::sample::select(names.to_vec()), inner.clone()), 0..8);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_is_too_much_for_a_format(value in values(), text in "\\PC{0,60}") {
            for user in super::super::document::users(value.clone()).into_iter().chain([value]) {
                for format in formats() {
                    let _ = format.read(user.clone());
                }
            }
            let _ = text.parse::<FirebaseHash>();
        }
    }

    #[test]
    fn the_parameters_of_firebase_are_read_as_its_console_shows_them() {
        let text = "hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: ab+/==,\n  base64_salt_separator: Bw==,\n  \
                    rounds: 8,\n  mem_cost: 14,\n}\n";
        let hash: FirebaseHash = text.parse().unwrap();
        assert_eq!((hash.signer_key.expose(), hash.salt_separator.as_str()), ("ab+/==", "Bw=="));
        assert_eq!((hash.rounds, hash.mem_cost), (8, 14));
    }

    #[test]
    fn argon2_of_keycloak_is_a_phc_string() {
        let credential = json!({
            "type": "password",
            "secretData": "{\"value\":\"AAECAwQFBgcICQoLDA0ODw==\",\"salt\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}",
            "credentialData": "{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":\
                               [\"16\"],\"memory\":[\"7168\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}",
        });
        let expected = "$argon2id$v=19$m=7168,t=5,p=1$MDEyMzQ1Njc4OWFiY2RlZg$AAECAwQFBgcICQoLDA0ODw";
        assert_eq!(keycloak_hash(&credential).as_deref(), Some(expected));
    }
}
