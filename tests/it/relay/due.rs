//! What is due is found without reading what has been delivered.

use authy_core::engine::Delivery;
use authy_tests::{at_once, database, fresh_name, new_user, operator, until};

use super::{MemorySink, engine_with};

const DELIVERED: i64 = 20_000;
const DUE: usize = 40;

/// The rows of deliveries that were read so far, along indexes or not, as far as the statistics have been sent.
const READ: &str =
    "SELECT seq_tup_read + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'delivery')
                    FROM pg_stat_user_tables WHERE relname = 'delivery'";

#[tokio::test]
async fn a_delivery_costs_the_same_however_many_were_made() {
    let sink = MemorySink::new(Delivery::PerSubject { in_flight: 4 });
    let (config, authy, _background) = engine_with(sink.clone()).await;
    let sql = database::connect(&config).await;
    // The planner knows nothing about these, as in a table that grows between two runs of autovacuum.
    let made = "INSERT INTO authy.delivery (sink, event_id, happened, subject, state)
                SELECT 'memory', gen_random_uuid(), now(), gen_random_uuid(), 'delivered' FROM generate_series(1, $1::bigint)";
    sql.execute(made, &[&DELIVERED]).await.unwrap();
    let users = at_once(DUE, {
        let authy = authy.clone();
        move |_| {
            let authy = authy.clone();
            async move { authy.users().register(&operator(), new_user(&fresh_name("ada"))).await.unwrap() }
        }
    });
    users.await;
    until("everything has been delivered", || async { sink.ids().len() == DUE }).await;
    // Each look has begun with the index of what is due; the statistics of its connection are sent together.
    let sent = "SELECT (SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'delivery') >= $1
                   AND (SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'delivery_due') >= $1 / 4";
    let due = i64::try_from(DUE).unwrap();
    until("the statistics are there", || async { sql.query_one(sent, &[&due]).await.unwrap().get(0) }).await;
    let read: i64 = sql.query_one(READ, &[]).await.unwrap().get(0);
    assert!(read < DELIVERED, "{read} rows were read for {DUE} deliveries");
}
