//! Every public function of the engine, and who may call it.

use std::{collections::BTreeMap, path::Path};

use super::*;

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// It changes nothing and shows what the program that calls it passes on as it sees fit.
    Reads,
    /// It is about the instance, not about accounts: starting, checking, background work.
    Instance,
    /// Anybody: a secret that it checks itself decides, or nothing needs deciding.
    Anybody,
    /// Anybody with a good token, for their own account.
    Own,
    /// Administrators, on those who are not more powerful; and the operator.
    Administrator,
    /// Those who may do everything; and the operator.
    FullPower,
    /// The operator alone.
    Operator,
}

use Rule::*;

#[rustfmt::skip]
const FUNCTIONS: &[(&str, Rule)] = &[
    ("access_granted", Reads), ("change_password_url", Reads), ("export_user", Reads), ("find_role", Reads),
    ("find_user", Reads), ("find_user_id", Reads), ("find_user_roles", Reads), ("find_username", Reads), ("keys", Reads),
    ("metadata", Reads),
    ("list_events", Reads), ("list_keys", Reads), ("list_role_users", Reads), ("list_roles", Reads),
    ("list_sessions", Reads), ("list_sinks", Reads), ("list_stuck", Reads), ("list_users", Reads),
    ("revocations", Reads), ("revocation_snapshot", Reads), ("self_test", Reads), ("follow_revocations", Reads), ("stream_export", Reads),
    ("builder", Instance), ("check", Instance), ("committed", Instance), ("create_first_administrator", Instance),
    ("ping", Instance), ("start_background", Instance), ("start_background_with", Instance), ("upkeep", Instance),
    ("find_validation", Anybody), ("forgot_password", Anybody), ("login", Anybody), ("prepare_change", Anybody),
    ("prepare_registration", Anybody), ("prepare_reset", Anybody), ("refresh", Anybody), ("register", Anybody),
    ("register_in", Anybody), ("reset_password", Anybody), ("reset_password_in", Anybody), ("validate", Anybody),
    ("validate_in", Anybody),
    ("end_other_sessions", Own), ("logout", Own), ("resend_validation", Own), ("verify_password", Own),
    ("change_user", Administrator), ("change_user_in", Administrator), ("create_reset", Administrator),
    ("create_reset_in", Administrator), ("create_role", Administrator), ("create_role_in", Administrator),
    ("create_user", Administrator), ("create_user_in", Administrator), ("delete_role", Administrator),
    ("delete_role_in", Administrator), ("delete_user", Administrator), ("delete_user_in", Administrator),
    ("end_session", Administrator), ("end_sessions", Administrator), ("end_sessions_in", Administrator),
    ("grant_role", Administrator), ("grant_role_in", Administrator), ("restore_user", Administrator),
    ("restore_user_in", Administrator), ("revoke_role", Administrator), ("revoke_role_in", Administrator),
    ("send_reset", Administrator), ("send_reset_in", Administrator),
    ("erase_user", FullPower), ("erase_user_in", FullPower), ("reseal_keys", FullPower), ("retry_delivery", FullPower),
    ("revoke_key", FullPower), ("rotate_key", FullPower), ("skip_delivery", FullPower),
    ("issue_token", Operator), ("list_letters", Operator),
];

/// Who calls, and what became of them since their token was verified.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CallerState {
    Anonymous,
    Peer,
    Administrator,
    Superadmin,
    /// Was an administrator when the token was verified, and lost the role.
    Demoted,
    /// Was an administrator, and was deleted.
    Deleted,
    /// Is an administrator still, and has logged out.
    LoggedOut,
    /// Is an administrator whose token expired long ago.
    Expired,
    Operator,
}

impl CallerState {
    const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Peer,
        Self::Administrator,
        Self::Superadmin,
        Self::Demoted,
        Self::Deleted,
        Self::LoggedOut,
        Self::Expired,
        Self::Operator,
    ];

    async fn caller(self, authy: &Authy) -> Caller {
        let admin = || somebody(authy, "admin");
        match self {
            Self::Anonymous => anonymous(),
            Self::Peer => somebody(authy, "user").await,
            Self::Administrator => admin().await,
            Self::Superadmin => somebody(authy, "superadmin").await,
            Self::Demoted => {
                let caller = admin().await;
                let user = caller.identity().unwrap().public_id;
                authy.revoke_role(&operator(), &"admin".parse().unwrap(), user).await.unwrap();
                authy.grant_role(&operator(), &"user".parse().unwrap(), user).await.unwrap();
                caller
            }
            Self::Deleted => {
                let caller = admin().await;
                authy.delete_user(&operator(), caller.identity().unwrap().public_id).await.unwrap();
                caller
            }
            Self::LoggedOut => {
                let caller = admin().await;
                authy.logout(&caller).await.unwrap();
                caller
            }
            Self::Expired => {
                let mut identity = admin().await.identity().unwrap().clone();
                identity.expires = authy_core::Timestamp::from_unix(identity.expires.as_unix() - 2000);
                Caller::user(identity, Origin::default())
            }
            Self::Operator => operator(),
        }
    }

    /// What a function says to this caller for want of power.
    fn refusal(self, function: &str, rule: Rule) -> Option<ErrorKind> {
        match (rule, self) {
            // Logging out twice does no harm; a session that was ended is ended.
            (Own, Self::LoggedOut | Self::Deleted) if function == "logout" => None,
            // It reads: there is no transaction to prove anything in, and nothing changes.
            (Own, Self::Demoted | Self::LoggedOut | Self::Expired | Self::Deleted) if function == "verify_password" => {
                None
            }
            (Own, Self::Anonymous | Self::Operator) => Some(ErrorKind::TokenRequired),
            (Administrator | FullPower, Self::Anonymous) => Some(ErrorKind::TokenRequired),
            (Administrator | FullPower, Self::Peer) => Some(ErrorKind::InsufficientLevel),
            (FullPower, Self::Administrator) => Some(ErrorKind::BeyondYourLevel),
            (Rule::Operator, caller) if caller != Self::Operator => Some(ErrorKind::BeyondYourLevel),
            (Own | Administrator | FullPower, Self::Demoted | Self::Deleted | Self::LoggedOut | Self::Expired) => {
                Some(ErrorKind::InvalidToken)
            }
            _ => None,
        }
    }
}

#[tokio::test]
async fn nobody_calls_a_function_without_the_power_it_needs() {
    let app = TestApp::new().await;
    // So that nobody here is the last superadmin.
    app.superadmin().await;
    let mut level = 100;
    for (function, rule) in FUNCTIONS {
        if matches!(rule, Reads | Instance | Anybody) {
            continue;
        }
        for who in CallerState::ALL {
            level += 1;
            let fixture = AuthorityFixture::new(&app, level).await;
            fixture.prepare(function).await;
            let caller = who.caller(&app.authy).await;
            let answer = refusal(fixture.call(function, &caller).await);
            assert_eq!(answer, who.refusal(function, *rule), "{who:?} calls {function}");
        }
    }
}

#[tokio::test]
async fn nobody_acts_on_who_is_more_powerful() {
    let app = TestApp::new().await;
    app.superadmin().await;
    let mut level = 10_000;
    for function in [
        "change_user",
        "change_user_in",
        "create_reset",
        "delete_user",
        "end_session",
        "end_sessions",
        "grant_role",
        "restore_user",
        "revoke_role",
        "send_reset",
    ] {
        level += 1;
        let fixture = AuthorityFixture::new(&app, level).await;
        app.authy.grant_role(&operator(), &"superadmin".parse().unwrap(), fixture.subject).await.unwrap();
        fixture.prepare(function).await;
        let admin = somebody(&app.authy, "admin").await;
        let answer = refusal(fixture.call(function, &admin).await);
        assert_eq!(answer, Some(ErrorKind::BeyondYourLevel), "{function}");
    }
}

#[test]
fn every_public_function_is_in_the_matrix() {
    let mut found = BTreeMap::new();
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../authy-core/src");
    collect(&engine, &mut found);
    assert!(found.len() > 60, "the sources were not found");
    let listed: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
    for (name, file) in &found {
        assert!(listed.contains(&name.as_str()), "{name} ({file}) is not in the matrix: who may call it?");
    }
    for name in listed {
        assert!(found.contains_key(name), "{name} is in the matrix and nowhere else");
    }
}

/// The public functions in `impl Authy` blocks, with their files.
fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut is_inside = false;
        for line in text.lines() {
            match line {
                "impl Authy {" => is_inside = true,
                "}" => is_inside = false,
                _ if is_inside => {
                    let function = line.strip_prefix("    pub async fn ").or_else(|| line.strip_prefix("    pub fn "));
                    if let Some(name) = function.and_then(|rest| rest.split(['(', '<']).next()) {
                        found.insert(name.to_owned(), path.display().to_string());
                    }
                }
                _ => {}
            }
        }
    }
}
