//! A service on axum that embeds the engine: what its handlers extract, and how they refuse.

use std::{net::SocketAddr, sync::Arc};

use authy_core::{
    Authy, ClientInfo, Error, ErrorKind, Identity,
    api::user::{Created, NewUser, UserQuery},
    axum::{CheckedJson, CheckedQuery, JsonReply, RequireLevel, assign_request_id},
    client_info::TrustedProxies,
    engine::Caller,
    tower::RequireAuth,
};
use authy_tests::{PASSWORD, TestApp, TestUser, fresh_name, wire};
use axum::{
    Extension, Router,
    extract::{FromRef, State},
    middleware::from_fn,
    routing::{get, post},
};
use tokio::net::TcpListener;
use wire::Answer;

#[derive(Clone)]
struct Shop {
    authy: Authy,
    guard: RequireAuth,
}

impl FromRef<Shop> for RequireAuth {
    fn from_ref(shop: &Shop) -> Self {
        shop.guard.clone()
    }
}

async fn name(caller: Identity) -> String {
    caller.username.unwrap().to_string()
}

async fn sign_up(
    State(Shop { authy, .. }): State<Shop>,
    client: ClientInfo,
    CheckedJson(user): CheckedJson<NewUser>,
) -> Result<JsonReply<Created>, Error> {
    Ok(JsonReply(Created { public_id: authy.users().register(&Caller::anonymous(client), user).await? }))
}

fn router(app: &TestApp) -> Router {
    let guard = RequireAuth::new(app.authy.clone());
    let guarded = Router::new()
        .route("/guarded", get(name))
        .route("/both", get(async |caller: RequireLevel<5>| caller.username.clone().unwrap().to_string()))
        .route_layer(guard.clone());
    Router::new()
        .merge(guarded)
        .route("/forgotten", get(name))
        .route("/admins", get(async |RequireLevel(caller): RequireLevel<5>| name(caller).await))
        .route("/client", get(async |client: ClientInfo| format!("{client:?}")))
        .route("/users", post(sign_up))
        .route("/query", get(async |CheckedQuery(query): CheckedQuery<UserQuery>| query.q.unwrap_or_default()))
        .with_state(Shop { authy: app.authy.clone(), guard })
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

async fn ask(address: SocketAddr, path: &str, user: Option<&TestUser>) -> Answer {
    let token = user.map(|user| format!("\nauthorization: Bearer {}", user.token.expose())).unwrap_or_default();
    wire::send(address, &format!("GET {path} HTTP/1.1\nx-request-id: one{token}"), "").await
}

fn code(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_handler_finds_the_caller_and_a_forgotten_layer_lets_nobody_in() {
    let app = TestApp::new().await;
    let (address, user, admin) = (serve(router(&app)).await, app.user().await, app.admin().await);
    assert_eq!(ask(address, "/guarded", Some(&user)).await.body, user.username);
    assert_eq!(code(&ask(address, "/guarded", None).await), (401, "token_required".to_owned()));

    // No layer authenticates this route, and its handler needs one.
    for caller in [None, Some(&admin)] {
        let answer = ask(address, "/forgotten", caller).await;
        assert_eq!(code(&answer), (500, "internal".to_owned()));
        assert!(!answer.body.contains("RequireAuth") && answer.json()["request_id"] == "one", "{answer:?}");
    }

    // These need a level, with a layer and without.
    for path in ["/both", "/admins"] {
        assert_eq!(ask(address, path, Some(&admin)).await.body, admin.username, "{path}");
        assert_eq!(code(&ask(address, path, Some(&user)).await), (403, "insufficient_level".to_owned()));
        let answer = ask(address, path, None).await;
        assert_eq!((code(&answer), answer.header("www-authenticate")), ((401, "token_required".to_owned()), "Bearer"));
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_connection_and_forwarded_by_trusted_proxies_only() {
    let app = TestApp::new().await;
    let forwarded = "GET /client HTTP/1.1\nx-forwarded-for: 198.51.100.7\nuser-agent: curl/8\nx-request-id: one";
    let untrusted = wire::send(serve(router(&app)).await, forwarded, "").await.body;
    assert!(untrusted.contains("127.0.0.1") && !untrusted.contains("198.51.100.7"), "{untrusted}");
    assert!(untrusted.contains("curl/8") && untrusted.contains("\"one\""), "{untrusted}");

    let proxies = Arc::new(TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]));
    let trusted = wire::send(serve(router(&app).layer(Extension(proxies))).await, forwarded, "").await.body;
    assert!(trusted.contains("198.51.100.7") && !trusted.contains("127.0.0.1"), "{trusted}");

    // Served without the address of the connection.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router(&app).into_make_service();
    tokio::spawn(async move { axum::serve(listener, service).await });
    assert_eq!(code(&ask(address, "/client", None).await), (500, "internal".to_owned()));
}

#[tokio::test]
async fn a_request_is_checked_before_the_handler_runs() {
    let app = TestApp::new().await;
    let address = serve(router(&app)).await;
    let name = fresh_name("ada");
    let body = |name: &str, again: &str| {
        let email = format!("{name}@example.org");
        serde_json::json!({ "username": name, "email": email, "password": PASSWORD, "confirm_password": again })
            .to_string()
    };
    let created = wire::post(address, "/users", &body(&name, PASSWORD)).await;
    let id = created.json()["public_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.authy.users().find_username(id).await.unwrap().unwrap().as_str(), name);
    assert_eq!((created.status, created.header("cache-control")), (201, "no-store"));
    assert_eq!(created.header("location"), format!("/authy/user/{id}"));

    let fields = |answer: &Answer| -> Vec<String> {
        let fields = answer.json()["fields"].as_array().unwrap().clone();
        fields.iter().map(|wrong| wrong["field"].as_str().unwrap().to_owned()).collect()
    };
    let refused = wire::post(address, "/users", &body("a", "another one")).await;
    assert_eq!(code(&refused), (400, "invalid_input".to_owned()));
    assert_eq!(fields(&refused), ["username", "confirm_password"]);
    // What the engine refuses is an answer, too.
    let taken = wire::post(address, "/users", &body(&name, PASSWORD)).await;
    assert_eq!(code(&taken), (409, "already_registered".to_owned()));

    let malformed = wire::post(address, "/users", "{\"username\":").await;
    assert_eq!(code(&malformed), (400, "malformed_json".to_owned()));
    assert!(malformed.json()["message"].as_str().unwrap().contains("line 1"), "{malformed:?}");
    let long = wire::post(address, "/users", &" ".repeat(64 * 1024 + 1)).await;
    assert_eq!(code(&long), (413, "body_too_large".to_owned()));
    let untyped = wire::send(address, "POST /users HTTP/1.1", "{}").await;
    assert_eq!(code(&untyped), (415, "unsupported_media_type".to_owned()));
    assert_eq!(fields(&wire::send(address, "POST /users HTTP/1.1\ncontent-length: 0", "").await).len(), 4);

    assert_eq!(ask(address, "/query?q=ad%C3%A4&page=2", None).await.body, "adä");
    let refused = ask(address, "/query?page=0&per_page=x", None).await;
    assert_eq!((code(&refused), fields(&refused).len()), ((400, "invalid_input".to_owned()), 2));
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let app = TestApp::new().await;
    let failing = get(async || Error::new(ErrorKind::Internal, "a defect"));
    let router = router(&app).route("/failing", failing).layer(from_fn(assign_request_id));
    let address = serve(router).await;
    assert_eq!(ask(address, "/client", None).await.header("x-request-id"), "one");
    for path in ["/failing", "/guarded", "/admins"] {
        let kept = ask(address, path, None).await;
        assert_eq!((kept.json()["request_id"].as_str(), kept.header("x-request-id")), (Some("one"), "one"), "{path}");
        let new = wire::send(address, &format!("GET {path} HTTP/1.1\nx-request-id: not plain"), "").await;
        let id = new.header("x-request-id");
        assert!(id.len() == 36 && new.json()["request_id"] == id, "{path}: {new:?}");
    }
    let client = wire::get(address, "/client").await;
    assert!(client.body.contains(client.header("x-request-id")), "the audit trail has it, too: {client:?}");
}
