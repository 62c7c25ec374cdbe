//! Sinks: how far they are behind, and deliveries that are stuck.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use authy_core::{
    api::event::EventView,
    engine::{Delivery, DeliveryError, MasterKeys, Sink, StuckDelivery},
};

use super::*;

const PAGE: &str = "/authy/ui/admin/sinks";

/// A sink that takes nothing about users, until it does.
struct Moody(Arc<AtomicBool>);

#[async_trait]
impl Sink for Moody {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn wants(&self, event: &EventView) -> bool {
        event.kind == EventKind::UserRegistered
    }

    fn delivery(&self) -> Delivery {
        Delivery::PerSubject { in_flight: 4 }
    }

    async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
        match self.0.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(DeliveryError::retryable("the <recorder> is in no mood")),
        }
    }
}

/// An app with a sink that takes everything, or nothing.
pub(super) async fn app(takes: bool) -> TestApp {
    moody(Arc::new(AtomicBool::new(takes))).await
}

async fn moody(takes: Arc<AtomicBool>) -> TestApp {
    let (database, keys) = (database::fresh().await, MasterKeys::generate().unwrap());
    TestApp::build(database, keys, |_, http| with_pages(http), |_| vec![Arc::new(Moody(takes))]).await
}

/// Waits until the delivery about a user has failed, and returns it.
pub(super) async fn until_stuck(app: &TestApp, user: UserId) -> StuckDelivery {
    let stuck = async || {
        let stuck = app.authy.deliveries().list_stuck(1000).await.unwrap();
        stuck.into_iter().find(|delivery| delivery.subject == Some(user))
    };
    until("the delivery is stuck", || async { stuck().await.is_some() }).await;
    stuck().await.unwrap()
}

#[tokio::test]
async fn a_stuck_delivery_is_shown_repeated_and_given_up() {
    let takes = Arc::new(AtomicBool::new(false));
    let app = moody(takes.clone()).await;
    let (root, mut visitor) = enter(&app, "superadmin").await;
    let (first, second) = (app.user().await, app.user().await);
    let (retried, skipped) = (until_stuck(&app, first.id).await, until_stuck(&app, second.id).await);
    let page = visitor.get(PAGE).await;
    assert!(page.body.contains("recorder") && page.body.contains(&first.username), "{page:?}");
    assert!(page.body.contains("the &lt;recorder&gt; is in no mood"), "{page:?}");
    let path = |delivery: &StuckDelivery, action: &str| format!("{PAGE}/recorder/{}/{action}", delivery.event_id);
    for (delivery, action) in [(&retried, "retry"), (&retried, "skip"), (&skipped, "retry"), (&skipped, "skip")] {
        assert!(page.body.contains(&path(delivery, action)), "{action}: {page:?}");
    }

    let question = visitor.get(&path(&skipped, "skip")).await;
    assert!(question.body.contains("recorder does not get the event user.registered"), "{question:?}");
    assert!(!until_stuck(&app, second.id).await.is_given_up, "a question changes nothing");
    let answer = visitor.post(&path(&skipped, "skip"), "").await;
    assert_eq!(answer.header("location"), format!("{PAGE}?notice=delivery_skipped"), "{answer:?}");
    assert!(until_stuck(&app, second.id).await.is_given_up);
    let page = visitor.get(&format!("{PAGE}?notice=delivery_skipped")).await;
    assert!(page.body.contains("The delivery is given up.") && page.body.contains(">given up</span>"), "{page:?}");
    assert!(!page.body.contains(&path(&skipped, "skip")), "{page:?}");
    // What was given up can still be delivered, and what was done twice is refused.
    assert_eq!(visitor.post(&path(&skipped, "skip"), "").await.status, 404);

    takes.store(true, Ordering::Relaxed);
    for delivery in [&retried, &skipped] {
        let answer = visitor.post(&path(delivery, "retry"), "").await;
        // It may have been repeated by itself meanwhile.
        let is_done = answer.header("location") == format!("{PAGE}?notice=delivery_retried") || answer.status == 404;
        assert!(is_done, "{answer:?}");
    }
    until("everything is delivered", || async { app.authy.deliveries().list_stuck(10).await.unwrap().is_empty() })
        .await;
    let page = visitor.get(PAGE).await;
    assert!(page.body.contains("Nothing is stuck.") && page.body.contains("0 waiting"), "{page:?}");
    let query = api::event::EventQuery { kind: Some(EventKind::DeliverySkipped), ..Default::default() };
    let events = app.authy.events().list(&query).await.unwrap().events;
    assert_eq!((events.len(), events[0].actor, events[0].subject), (1, Some(root.id), Some(second.id)));
}

#[tokio::test]
async fn deliveries_are_shown_to_administrators_and_changed_by_those_who_may_do_everything() {
    let app = app(false).await;
    let (_, mut admin) = enter(&app, "admin").await;
    let subject = app.user().await;
    let stuck = until_stuck(&app, subject.id).await;
    let page = admin.get(PAGE).await;
    assert!(page.body.contains(&subject.username), "{page:?}");
    assert!(!page.body.contains(&format!("{PAGE}/recorder")), "what one may not do is not offered: {page:?}");
    for action in ["retry", "skip"] {
        let path = format!("{PAGE}/recorder/{}/{action}", stuck.event_id);
        for answer in [admin.get(&path).await, admin.post(&path, "").await] {
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
        }
    }
    assert!(!until_stuck(&app, subject.id).await.is_given_up);
    let (_, mut root) = enter(&app, "superadmin").await;
    for path in ["recorder/nonsense/skip", "elsewhere/01976c2d-8f0b-7d41-a5a4-0d7b3a1f6c55/retry"] {
        for answer in [root.get(&format!("{PAGE}/{path}")).await, root.post(&format!("{PAGE}/{path}"), "").await] {
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
    }
}
