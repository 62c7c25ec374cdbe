//! Every kind of event, as OpenAPI and AsyncAPI describe it.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use authy_core::{
    Authy, Secret,
    api::{
        event::{EventKind, EventOrder, EventQuery, EventView},
        message::EventMessage,
        page::PageSize,
        session::Credentials,
    },
    engine::{
        Delivery, DeliveryError, ExportOptions, FirstAuthy, ImportOptions, ImportRecord, ImportSource, MasterKeys, Sink,
    },
    tls::Roots,
};
use authy_tests::{FOREIGN_HASH, TestApp, database, legacy, old_database, operator, tools, until};
use serde_json::{Value, json};

use crate::crash::write_cases;

/// A sink that accepts no login.
struct Refusing;

#[async_trait]
impl Sink for Refusing {
    fn name(&self) -> &'static str {
        "refusing"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind == EventKind::SessionOpened
    }

    fn delivery(&self) -> Delivery {
        Delivery::PerSubject { in_flight: 1 }
    }

    async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
        Err(DeliveryError::retryable("it accepts nothing"))
    }
}

async fn trail(authy: &Authy) -> Vec<EventView> {
    let mut query =
        EventQuery { order: Some(EventOrder::Ascending), limit: PageSize::new(100).ok(), ..EventQuery::default() };
    let mut events = Vec::new();
    loop {
        let page = authy.events().list(&query).await.unwrap();
        if page.events.is_empty() {
            return events;
        }
        query.after = page.next;
        events.extend(page.events);
    }
}

/// Has a key made, activated, retired, revoked, and encrypted with another master key.
async fn change_keys(app: &TestApp) {
    let keys = app.authy.keys();
    keys.rotate(&operator()).await.unwrap();
    let sql = app.sql().await;
    let has = async |kind: &str| {
        let query = "SELECT count(*) FROM authy.event WHERE kind = $1";
        sql.query_one(query, &[&kind]).await.unwrap().get::<_, i64>(0) > 0
    };
    until("a key was retired", async || {
        sql.batch_execute("UPDATE authy.signing_key SET changed = changed - interval '1 year'").await.unwrap();
        app.authy.maintain().await.unwrap();
        has("key.retired").await
    })
    .await;
    let listed = keys.list().await.unwrap();
    let active = listed.iter().find(|key| key.state.as_str() == "active").unwrap();
    keys.revoke(&operator(), &active.kid).await.unwrap();
    let (new, old) = (MasterKeys::generate().unwrap().to_base64(), app.master_keys.to_base64());
    let both = MasterKeys::parse(&format!("{},{}", *new, *old)).unwrap();
    let other = TestApp::on(app.database.clone(), both, |config, _| config.issuer = Some(app.url())).await;
    other.authy.keys().reseal(&operator()).await.unwrap();
}

/// Has a stuck event delivered again, given up, and dismissed.
async fn decide_about_a_delivery(authy: &Authy) {
    let deliveries = authy.deliveries();
    until("an event is stuck", async || !deliveries.list_stuck(1).await.unwrap().is_empty()).await;
    let stuck = deliveries.list_stuck(1).await.unwrap().remove(0).event_id;
    deliveries.retry(&operator(), "refusing", stuck).await.unwrap();
    deliveries.skip(&operator(), "refusing", stuck).await.unwrap();
    deliveries.dismiss(&operator(), "refusing", stuck).await.unwrap();
}

/// Writes events of every kind.
async fn write_every_kind(app: &TestApp) {
    let root = app.superadmin().await;
    for (round, case) in (0..).zip(write_cases::ALL) {
        let fixture = case.prepare(&app.authy, &root.token, round).await;
        case.act(&app.anonymous(), &fixture).await.unwrap_or_else(|error| panic!("{case:?}: {error:?}"));
    }
    let user = app.user().await;
    app.authy.sessions().issue_token(&operator(), user.id).await.unwrap();
    for _ in 0..20 {
        let guess = Credentials::new(&user.username, Secret::new("wrong"));
        app.anonymous().login(guess).await.unwrap_err();
    }
    app.authy.users().unlock(&operator(), user.id).await.unwrap();
    let mut record = ImportRecord::default();
    record.username = Some("imported".to_owned());
    let options = ImportOptions::default();
    for hash in [None, Some(Secret::new(FOREIGN_HASH))] {
        record.password_hash = hash;
        let source = ImportSource::records([record.clone()]);
        app.authy.import(&operator(), source, &options, |_| ()).await.unwrap();
    }
    let old = old_database::create(&[]).await;
    let target = FirstAuthy { database: old, roots: Roots::platform(), app_time_zone: None, database_time_zone: None };
    app.authy.export(&operator(), &target, &ExportOptions::default(), |_| ()).await.unwrap();
    app.authy.forget_fallback_hashes(&operator()).await.unwrap();
    decide_about_a_delivery(&app.authy).await;
    app.authy.sessions().end_everyone(&operator()).await.unwrap();
    change_keys(app).await;
    app.authy.set_issuer(&operator(), "https://auth.example.org").await.unwrap();
}

/// Returns a schema whose parts are those of a document.
fn schema(document: &Value, schema: Value) -> Value {
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
    });
    whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
    whole
}

async fn validate(schema: &Value, texts: &[String]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), schema.to_string()).unwrap();
    tools::validate(file.path(), texts).await;
}

#[tokio::test]
async fn every_event_is_as_the_schema_of_its_kind_says() {
    let app = TestApp::build(
        database::fresh().await,
        MasterKeys::generate().unwrap(),
        |config, _| config.legacy_tokens = Some(legacy::accepted()),
        |_| vec![Arc::new(Refusing)],
    )
    .await;
    write_every_kind(&app).await;
    let events = trail(&app.authy).await;
    let written: BTreeSet<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(written, EventKind::ALL.iter().map(EventKind::as_str).collect());

    let mut openapi = Value::Object(authy_server::openapi::document());
    // A later version can add to a detail; this one writes nothing that is not described.
    for (name, schema) in openapi["components"]["schemas"].as_object_mut().unwrap() {
        if name.ends_with("Detail") {
            schema["additionalProperties"] = false.into();
        }
    }
    let texts: Vec<_> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    validate(&schema(&openapi, json!({ "$ref": "#/components/schemas/EventView" })), &texts).await;

    let asyncapi = Value::Object(authy_server::asyncapi::document());
    let messages = asyncapi["components"]["messages"].as_object().unwrap().values();
    let payloads: Vec<_> = messages.map(|message| message["payload"].clone()).collect();
    let texts: Vec<_> =
        events.into_iter().map(|event| serde_json::to_string(&EventMessage::new(event)).unwrap()).collect();
    validate(&schema(&asyncapi, json!({ "oneOf": payloads })), &texts).await;
}
