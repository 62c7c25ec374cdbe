//! The example `capacity` plans with what operations cost.

use authy_tests::cost::{OPERATIONS, Primary};

#[path = "../../examples/capacity/figures.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
pub mod figures;

/// By how much a figure may differ from what is measured with fewer users: relatively, and in bytes.
const TOLERANCE: (f64, f64) = (0.25, 40.0);

/// Tables and indexes grow by whole pages.
const TOLERANCE_OF_STORED: (f64, f64) = (0.4, 100.0);

#[tokio::test]
async fn the_figures_are_those_that_are_measured() {
    let measured = Primary::start().await.measure(600).await;
    for ((figures, cost), operation) in figures::ALL.iter().zip(&measured).zip(OPERATIONS) {
        assert_eq!(figures.name, operation);
        assert!((figures.commits - cost.commits).abs() < 0.1, "commits: {figures:?}, measured: {cost:?}");
        let bytes = [
            (figures.wal_bytes, cost.wal_bytes, TOLERANCE),
            (figures.stored_bytes, cost.stored_bytes, TOLERANCE_OF_STORED),
            (figures.event_bytes, cost.event_bytes, TOLERANCE_OF_STORED),
        ];
        for (planned, measured, (relative, absolute)) in bytes {
            let differs = (planned - measured).abs();
            assert!(differs <= planned * relative + absolute, "{figures:?}, measured: {cost:?}");
        }
    }
}
