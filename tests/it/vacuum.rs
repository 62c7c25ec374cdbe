//! No connection keeps vacuum from removing dead rows: none is idle with a snapshot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use authy_core::{
    api::event::EventView,
    engine::{Delivery, DeliveryError, Sink},
};
use authy_tests::{TestApp, until};

struct Taking(&'static str, Delivery);

#[async_trait]
impl Sink for Taking {
    fn name(&self) -> &'static str {
        self.0
    }

    fn delivery(&self) -> Delivery {
        self.1
    }

    async fn deliver(&self, _: &EventView) -> Result<(), DeliveryError> {
        Ok(())
    }
}

#[tokio::test]
async fn no_idle_connection_holds_a_snapshot() {
    let app = TestApp::with_sinks(|_| {
        let ordered = Taking("ordered", Delivery::Ordered { in_flight: 4 });
        let per_subject = Taking("per-subject", Delivery::PerSubject { in_flight: 4 });
        vec![Arc::new(ordered) as Arc<dyn Sink>, Arc::new(per_subject)]
    })
    .await;
    // A second instance waits for the locks of the first.
    let waiting = TestApp::build(
        app.database.clone(),
        app.master_keys.clone(),
        |_, _| (),
        |_| vec![Arc::new(Taking("ordered", Delivery::Ordered { in_flight: 4 })) as Arc<dyn Sink>],
    )
    .await;
    let user = app.user().await;
    user.client.export_self().await.unwrap();
    user.client.logout().await.unwrap();
    waiting.authy.maintain().await.unwrap();

    let sql = app.sql().await;
    let delivered = async || {
        let waits = "SELECT count(*) FROM authy.event_cursor";
        sql.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 2
    };
    until("both sinks have begun", delivered).await;
    let held = "SELECT pid, backend_xmin::text || ' ' || query FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle%' AND backend_xmin IS NOT NULL";
    let sample = async || -> HashMap<i32, String> {
        sql.query(held, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    // State and snapshot are not shown at the same moment, so what is held is what two looks have seen.
    let seen = Mutex::new(sample().await);
    let nothing_is_held = || async {
        let now = sample().await;
        let before = std::mem::replace(&mut *seen.lock().unwrap(), now.clone());
        let held: Vec<_> = now.into_iter().filter(|(pid, held)| before.get(pid) == Some(held)).collect();
        println!("held: {held:?}");
        held.is_empty()
    };
    until("no idle connection holds a snapshot", nothing_is_held).await;
}
