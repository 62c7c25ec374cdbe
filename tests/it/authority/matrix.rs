//! Every public function of the engine, and who may call it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use super::*;

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// It changes nothing and shows what the program that calls it passes on as it sees fit.
    Reads,
    /// It is about the instance, not about accounts: starting, checking, background work.
    Instance,
    /// Anyone: a secret that it checks itself decides, or nothing needs deciding.
    Anyone,
    /// Anyone with a good token, for their own account.
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
    ("sessions.access_granted", Reads), ("sessions.grant_from_memory", Reads), ("change_password_url", Reads), ("requires_validated", Reads), ("users.export", Reads), ("roles.find", Reads),
    ("users.find", Reads), ("users.find_id", Reads), ("users.find_named", Reads), ("users.find_own", Reads), ("users.find_roles", Reads), ("users.find_username", Reads), ("users.find_usernames", Reads), ("users.has_logged_in_within", Reads), ("keys.published", Reads),
    ("metadata", Reads), ("list_instances", Reads), ("count_fallback_hashes", Reads),
    ("events.list", Reads), ("events.count", Reads), ("sessions.count_live", Reads), ("deliveries.find_stuck", Reads), ("keys.list", Reads), ("roles.list_users", Reads), ("roles.list", Reads),
    ("sessions.list", Reads), ("sessions.list_of", Reads), ("sessions.find_user", Reads), ("deliveries.list_sinks", Reads), ("deliveries.database_time", Reads), ("deliveries.list_stuck", Reads), ("deliveries.list_stuck_of", Reads), ("deliveries.list", Reads), ("users.list", Reads),
    ("revocations.read", Reads), ("revocations.snapshot", Reads), ("revocations.self_test", Reads), ("revocations.database_status", Reads), ("revocations.follow", Reads), ("users.stream_export", Reads),
    ("builder", Instance), ("users", Instance), ("roles", Instance), ("sessions", Instance), ("keys", Instance),
    ("events", Instance), ("deliveries", Instance), ("revocations", Instance), ("within", Instance), ("check", Instance), ("committed", Instance),
    ("check_writable", Instance), ("statistics", Instance), ("keys.can_sign", Instance), ("revocations.is_current", Instance), ("ping", Instance), ("until_available", Instance), ("pool", Instance), ("start_background_with", Instance), ("stop", Instance), ("maintain", Instance),
    ("users.find_reset", Anyone), ("users.find_validation", Anyone), ("users.forgot_password", Anyone), ("sessions.login", Anyone), ("sessions.login_with_either", Anyone), ("users.prepare_change", Anyone),
    ("users.prepare_account", Anyone), ("users.prepare_registration", Anyone), ("users.prepare_reset", Anyone), ("sessions.refresh", Anyone), ("users.register", Anyone),
    ("within.users.register", Anyone), ("users.reset_password", Anyone), ("within.users.reset_password", Anyone), ("users.validate", Anyone),
    ("within.users.validate", Anyone),
    ("sessions.end_others", Own), ("sessions.logout", Own), ("users.resend_validation", Own), ("sessions.verify_password", Own),
    ("users.change", Administrator), ("within.users.change", Administrator), ("users.create_reset", Administrator),
    ("within.users.create_reset", Administrator), ("roles.create", Administrator), ("within.roles.create", Administrator),
    ("roles.ensure", Administrator), ("within.roles.ensure", Administrator),
    ("users.create", Administrator), ("within.users.create", Administrator), ("roles.delete", Administrator),
    ("within.roles.delete", Administrator), ("users.delete", Administrator), ("within.users.delete", Administrator),
    ("sessions.end", Administrator), ("sessions.end_all", Administrator), ("within.sessions.end_all", Administrator),
    ("roles.grant", Administrator), ("within.roles.grant", Administrator), ("users.restore", Administrator),
    ("within.users.restore", Administrator), ("roles.revoke", Administrator), ("within.roles.revoke", Administrator),
    ("users.send_reset", Administrator), ("within.users.send_reset", Administrator),
    ("users.unlock", Administrator),
    ("users.erase", FullPower), ("within.users.erase", FullPower), ("keys.reseal", FullPower), ("deliveries.retry", FullPower),
    ("keys.revoke", FullPower), ("keys.rotate", FullPower), ("deliveries.skip", FullPower), ("deliveries.dismiss", FullPower), ("deliveries.dismiss_all", FullPower), ("set_issuer", FullPower),
    ("users.create_first_administrator", Operator), ("sessions.issue_token", Operator), ("deliveries.list_notifications", Operator),
    ("sessions.end_everyone", Operator), ("recover", Operator), ("users.wrap_passwords", Operator), ("import", Operator),
    ("export", Operator), ("forget_fallback_hashes", Operator),
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
        let admin = || caller_with_role(authy, "admin");
        match self {
            Self::Anonymous => anonymous(),
            Self::Peer => caller_with_role(authy, "user").await,
            Self::Administrator => admin().await,
            Self::Superadmin => caller_with_role(authy, "superadmin").await,
            Self::Demoted => {
                let caller = admin().await;
                let user = caller.identity().unwrap().public_id;
                authy.roles().revoke(&operator(), &"admin".parse().unwrap(), user).await.unwrap();
                authy.roles().grant(&operator(), &"user".parse().unwrap(), user).await.unwrap();
                caller
            }
            Self::Deleted => {
                let caller = admin().await;
                authy.users().delete(&operator(), caller.identity().unwrap().public_id).await.unwrap();
                caller
            }
            Self::LoggedOut => {
                let caller = admin().await;
                authy.sessions().logout(&caller).await.unwrap();
                caller
            }
            Self::Expired => {
                let mut identity = admin().await.identity().unwrap().clone();
                identity.expires -= Duration::from_secs(2000);
                Caller::user(identity, ClientInfo::default())
            }
            Self::Operator => operator(),
        }
    }

    /// What a function says to this caller for want of power.
    fn refusal(self, function: &str, rule: Rule) -> Option<ErrorKind> {
        match (rule, self) {
            // Logging out twice does no harm; a session that was ended is ended.
            (Own, Self::LoggedOut | Self::Deleted) if function == "sessions.logout" => None,
            // It reads: there is no transaction to prove anything in, and nothing changes.
            (Own, Self::Demoted | Self::LoggedOut | Self::Expired | Self::Deleted)
                if function == "sessions.verify_password" =>
            {
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
async fn no_function_runs_without_the_power_it_needs() {
    let app = TestApp::new().await;
    // So that no caller here is the last superadmin.
    app.superadmin().await;
    let mut level = 100;
    for (function, rule) in FUNCTIONS {
        if matches!(rule, Reads | Instance | Anyone) {
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
async fn no_caller_acts_on_a_more_powerful_user() {
    let app = TestApp::new().await;
    app.superadmin().await;
    let mut level = 10_000;
    for function in [
        "users.change",
        "within.users.change",
        "users.create_reset",
        "users.delete",
        "sessions.end",
        "sessions.end_all",
        "roles.grant",
        "users.restore",
        "roles.revoke",
        "users.send_reset",
        "users.unlock",
    ] {
        level += 1;
        let fixture = AuthorityFixture::new(&app, level).await;
        app.authy.roles().grant(&operator(), &"superadmin".parse().unwrap(), fixture.subject).await.unwrap();
        fixture.prepare(function).await;
        let admin = caller_with_role(&app.authy, "admin").await;
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

/// The handles of the engine, and how their functions are called here.
const HANDLES: &[(&str, &str)] = &[
    ("impl Authy {", ""),
    ("impl Users {", "users."),
    ("impl Roles {", "roles."),
    ("impl Sessions {", "sessions."),
    ("impl SigningKeys {", "keys."),
    ("impl Events {", "events."),
    ("impl Deliveries {", "deliveries."),
    ("impl RevocationFeed {", "revocations."),
    ("impl UsersWithin<'_> {", "within.users."),
    ("impl RolesWithin<'_> {", "within.roles."),
    ("impl SessionsWithin<'_> {", "within.sessions."),
];

/// Collects the public functions of the handles, with their files.
fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut handle = None;
        for line in text.lines() {
            if let Some((_, prefix)) = HANDLES.iter().find(|(begin, _)| *begin == line) {
                handle = Some(*prefix);
            } else if line == "}" {
                handle = None;
            } else if let Some(prefix) = handle {
                let function = line.strip_prefix("    pub async fn ").or_else(|| line.strip_prefix("    pub fn "));
                if let Some(name) = function.and_then(|rest| rest.split(['(', '<']).next()) {
                    found.insert(format!("{prefix}{name}"), path.display().to_string());
                }
            }
        }
    }
}
