//! Every endpoint, called through the client: what the server answers is what the types say.

use std::collections::BTreeSet;

use authy_client::{Client, Error};
use authy_core::{
    ErrorKind, Level, Secret, UserId,
    api::{
        Endpoint, Nothing,
        account::{
            AccountChange, ChangeUser, Code, ExportSelf, FindPasswordPage, ForgotPassword, ForgottenPassword,
            GetValidation, PasswordReset, ResendValidation, ResetPassword, RestoreUser, SendReset, Validate,
            ValidationPurpose,
        },
        all,
        event::{EventKind, EventQuery, ListEvents},
        role::{
            CreateRole, DeleteRole, GetRole, GrantRole, ListRoleUsers, ListRoles, NewRole, RevokeRole, RoleUserQuery,
        },
        session::{
            CheckAccess, EndOtherSessions, EndSession, EndUserSessions, GetKeys, GetKeysAtRoot, GetRevocations,
            ListSessions, Login, Logout, Refresh, RefreshToken, RevocationQuery,
        },
        system::{GetAsyncApi, GetMetadata, GetMetadataAtRoot, GetOpenApi, GetRateLimited, GetStatus, ListEndpoints},
        user::{
            CreateUser, DeleteSelf, DeleteUser, Deletion, FindUser, GetOwnRoles, GetSelf, GetUser, GetUserRoles,
            GetUsername, ListUsers, NewAccount, Register, UserQuery,
        },
    },
};
use authy_tests::{PASSWORD, TestApp, credentials, fresh_name, new_user};

/// What was called.
#[derive(Default)]
struct EndpointCoverage(BTreeSet<&'static str>);

impl EndpointCoverage {
    async fn call<E: Endpoint>(
        &mut self,
        client: &Client,
        path: E::Path,
        request: E::Request,
    ) -> Result<E::Response, Error> {
        self.0.insert(E::INFO.name);
        client.call::<E>(path, request).await
    }

    /// A call that must go well.
    async fn ok<E: Endpoint>(&mut self, client: &Client, path: E::Path, request: E::Request) -> E::Response {
        let answer = self.call::<E>(client, path, request).await;
        answer.unwrap_or_else(|error| panic!("{}: {error:?}", E::INFO.name))
    }
}

#[tokio::test]
async fn every_endpoint_answers_the_client_as_its_types_say() {
    let password_page = "https://shop.example/account/password";
    let app = TestApp::with(|config, _| config.change_password_url = Some(password_page.to_owned())).await;
    let mut coverage = EndpointCoverage::default();
    let (anonymous, root) = (app.anonymous(), app.superadmin().await);
    let name = fresh_name("ada");

    let id = coverage.ok::<Register>(&anonymous, (), new_user(&name)).await.public_id;
    let tokens = coverage.ok::<Login>(&anonymous, (), credentials(&name)).await;
    assert_eq!((tokens.public_id, tokens.token_type.as_str(), tokens.expires_in), (id, "Bearer", 900));
    let ada = anonymous.with_token(tokens.token);
    let me = coverage.ok::<GetSelf>(&ada, (), Nothing {}).await;
    assert_eq!((me.public_id, me.username.as_str(), me.last_login.is_some()), (id, name.as_str(), true));
    let granted = coverage.ok::<CheckAccess>(&ada, (Level::clamped(10),), Nothing {}).await;
    assert_eq!((granted.public_id, granted.level.get(), granted.roles.len()), (id, 10, 1));
    assert_eq!(coverage.ok::<GetOwnRoles>(&ada, (), Nothing {}).await.roles[0].name.as_str(), "user");
    let keys = coverage.ok::<GetKeys>(&anonymous, (), Nothing {}).await;
    assert_eq!(keys.keys[0].alg, "EdDSA");
    assert_eq!(coverage.ok::<GetKeysAtRoot>(&anonymous, (), Nothing {}).await, keys);
    let metadata = coverage.ok::<GetMetadata>(&anonymous, (), Nothing {}).await;
    assert_eq!((metadata.issuer.as_str(), metadata.access_token_audience.as_str()), (app.url().as_str(), "authy"));
    assert_eq!(metadata.jwks_uri, Some(format!("{}/authy/.well-known/jwks.json", app.url())));
    assert_eq!(metadata.access_token_signing_alg_values_supported, ["EdDSA"]);
    assert_eq!(metadata.access_token_max_lifetime, 900);
    assert_eq!(coverage.ok::<GetMetadataAtRoot>(&anonymous, (), Nothing {}).await, metadata);

    let mine = coverage.ok::<ListSessions>(&ada, (), Nothing {}).await.sessions;
    assert_eq!((mine.len(), mine[0].current), (1, true));
    let refresh_token = tokens.refresh_token;
    let again = coverage.ok::<Refresh>(&anonymous, (), RefreshToken { refresh_token }).await;
    assert_eq!(again.public_id, id);
    let other = anonymous.login(credentials(&name)).await.unwrap();
    coverage.ok::<EndOtherSessions>(&ada, (), Nothing {}).await;
    assert!(anonymous.with_token(other.token).get_self().await.is_err());
    let other = coverage.ok::<Login>(&anonymous, (), credentials(&name)).await;
    let other = anonymous.with_token(other.token);
    coverage.ok::<EndSession>(&other, (mine[0].session_id,), Nothing {}).await;
    assert!(ada.get_self().await.is_err());
    coverage.ok::<Logout>(&other, (), Nothing {}).await;
    let published = coverage.ok::<GetRevocations>(&anonymous, (), RevocationQuery { after: None }).await;
    assert_eq!(published.revocations.len(), 3);
    let since = RevocationQuery { after: Some(published.cursor) };
    assert!(coverage.ok::<GetRevocations>(&anonymous, (), since).await.revocations.len() <= 3);
    coverage.ok::<EndUserSessions>(&root.client, (id,), Nothing {}).await;

    let invited = NewAccount::new(&fresh_name("invited"), "invited@example.org").unwrap();
    let created = coverage.ok::<CreateUser>(&root.client, (), invited.clone()).await.public_id;
    assert_eq!(root.client.get_user(created).await.unwrap().username, invited.username);
    let query = UserQuery { q: Some(name.clone()), ..UserQuery::default() };
    let page = coverage.ok::<ListUsers>(&root.client, (), query).await;
    assert_eq!((page.total_records, page.users[0].public_id), (1, id));
    assert_eq!(coverage.ok::<GetUser>(&root.client, (id,), Nothing {}).await.username.as_str(), name);
    assert_eq!(coverage.ok::<GetUserRoles>(&root.client, (id,), Nothing {}).await.public_id, id);
    assert_eq!(coverage.ok::<GetUsername>(&anonymous, (id,), Nothing {}).await.username.as_str(), name);
    assert_eq!(coverage.ok::<FindUser>(&anonymous, (name.parse().unwrap(),), Nothing {}).await.public_id, id);

    let code = |secret| (Code::new(secret),);
    coverage.ok::<ResendValidation>(&ada_again(&anonymous, &name).await, (), Nothing {}).await;
    let sent = app.code(id, EventKind::ValidationRequested).await;
    let view = coverage.ok::<GetValidation>(&anonymous, code(sent.clone()), Nothing {}).await;
    let hint = format!("{}…@example.org", &name[..1]);
    assert_eq!((view.email_hint, view.purpose, view.already_confirmed), (hint, ValidationPurpose::SignUp, false));
    assert_eq!(coverage.ok::<Validate>(&anonymous, code(sent), Nothing {}).await.public_id, id);
    let ada = ada_again(&anonymous, &name).await;
    let address = format!("{name}@example.com");
    let change = AccountChange::email(Some(Secret::new(PASSWORD)), address.parse().unwrap());
    assert_eq!(coverage.ok::<ChangeUser>(&ada, (id,), change).await.email.as_str(), format!("{name}@example.org"));
    let sent = app.code(id, EventKind::EmailRequested).await;
    coverage.ok::<Validate>(&anonymous, code(sent), Nothing {}).await;
    let forgotten = ForgottenPassword { email: address.parse().unwrap() };
    coverage.ok::<ForgotPassword>(&anonymous, (), forgotten).await;
    let sent = app.code(id, EventKind::ResetRequested).await;
    let reset = PasswordReset::new(sent, Secret::new(PASSWORD)).unwrap();
    coverage.ok::<ResetPassword>(&anonymous, (), reset).await;
    coverage.ok::<SendReset>(&root.client, (id,), Nothing {}).await;
    let export = coverage.ok::<ExportSelf>(&ada_again(&anonymous, &name).await, (), Nothing {}).await;
    assert_eq!((export.user.email.as_str(), export.roles.len()), (address.as_str(), 1));
    assert_eq!(coverage.ok::<FindPasswordPage>(&anonymous, (), Nothing {}).await.url, password_page);

    let role = NewRole {
        name: "auctioneer".parse().unwrap(),
        description: "Auctioneer: opens and closes auctions".parse().unwrap(),
        level: Level::clamped(7),
    };
    let auctioneer = role.name.clone();
    coverage.ok::<CreateRole>(&root.client, (), role).await;
    assert_eq!(coverage.ok::<GetRole>(&root.client, (auctioneer.clone(),), Nothing {}).await.role.level.get(), 7);
    assert_eq!(coverage.ok::<ListRoles>(&root.client, (), Nothing {}).await.roles.len(), 5);
    coverage.ok::<GrantRole>(&root.client, (auctioneer.clone(), id), Nothing {}).await;
    let holders = coverage.ok::<ListRoleUsers>(&root.client, (auctioneer.clone(),), RoleUserQuery::default()).await;
    assert_eq!((holders.total_records, holders.users[0].public_id), (1, id));
    coverage.ok::<RevokeRole>(&root.client, (auctioneer.clone(), id), Nothing {}).await;
    coverage.ok::<DeleteRole>(&root.client, (auctioneer,), Nothing {}).await;

    let query = EventQuery { user: Some(id), kind: Some(EventKind::RoleGranted), ..EventQuery::default() };
    let trail = coverage.ok::<ListEvents>(&root.client, (), query).await;
    assert_eq!((trail.events.len(), trail.events[0].actor, trail.next), (1, Some(root.id), None));

    let listed = coverage.ok::<ListEndpoints>(&anonymous, (), Nothing {}).await;
    let paths: BTreeSet<_> = all().map(|info| info.path).collect();
    assert_eq!(listed.endpoints.len(), paths.len());
    assert_eq!(coverage.ok::<GetStatus>(&anonymous, (), Nothing {}).await.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(coverage.ok::<GetAsyncApi>(&anonymous, (), Nothing {}).await.document["asyncapi"], "3.0.0");
    assert_eq!(coverage.ok::<GetOpenApi>(&anonymous, (), Nothing {}).await.document["openapi"], "3.1.0");
    let limited = coverage.call::<GetRateLimited>(&anonymous, (), Nothing {}).await.unwrap_err();
    assert_eq!(limited.kind(), Some(ErrorKind::RateLimited));
    assert!(limited.retry_after().is_some());

    let other = app.user().await;
    coverage.ok::<DeleteUser>(&root.client, (other.id,), Deletion::PLAIN).await;
    coverage.ok::<RestoreUser>(&root.client, (other.id,), Nothing {}).await;
    coverage.ok::<DeleteSelf>(&app.user().await.client, (), Nothing {}).await;
    let gone = coverage.call::<GetUser>(&root.client, (UserId::random(),), Nothing {}).await.unwrap_err();
    assert_eq!(gone.kind(), Some(ErrorKind::NotFound));

    let everything: BTreeSet<_> = all().map(|info| info.name).collect();
    assert_eq!(coverage.0, everything, "an endpoint has not been called");
}

async fn ada_again(anonymous: &Client, name: &str) -> Client {
    anonymous.with_token(anonymous.login(credentials(name)).await.unwrap().token)
}
