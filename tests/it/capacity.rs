//! The example `capacity` plans with what operations cost.

use authy_tests::cost::{OPERATIONS, Primary};

#[path = "../../examples/capacity/figures.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
pub mod figures;

/// How much a figure may differ from what is measured with fewer users: indexes grow in steps.
const TOLERANCE: f64 = 0.25;

#[tokio::test]
async fn the_figures_are_those_that_are_measured() {
    let measured = Primary::start().await.measure(600).await;
    for ((figures, cost), operation) in figures::ALL.iter().zip(&measured).zip(OPERATIONS) {
        assert_eq!(figures.name, operation);
        assert!((figures.commits - cost.commits).abs() < 0.1, "commits: {figures:?}, measured: {cost:?}");
        let bytes = [
            (figures.wal_bytes, cost.wal_bytes),
            (figures.stored_bytes, cost.stored_bytes),
            (figures.event_bytes, cost.event_bytes),
        ];
        for (planned, measured) in bytes {
            let differs = (planned - measured).abs();
            assert!(differs <= planned * TOLERANCE + 40.0, "{figures:?}, measured: {cost:?}");
        }
    }
}
