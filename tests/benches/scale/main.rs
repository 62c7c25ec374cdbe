//! How the time of each operation grows with the number of users: `cargo bench -p authy-tests --bench scale`.
//!
//! The sizes are 10,000 and 1,000,000 users; `SCALE_SIZES=10000,1000000,10000000` adds ten million, which need about 20 GB in
//! `/dev/shm` or in the temporary folder. Everything is in the database's cache, so the ratios tell how much more work
//! an operation is, and not how a disk behaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that fails panics"
)]

mod fill;
mod operations;

use std::time::Instant;

use operations::{Installation, OPERATIONS};

/// Number of measurements of an operation, after two that do not count. The median is printed.
const TIMES: usize = 21;

/// The sizes without `SCALE_SIZES`.
const SIZES: &str = "10000,1000000";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sizes = std::env::var("SCALE_SIZES").unwrap_or_else(|_| SIZES.to_owned());
        let sizes: Vec<usize> = sizes.split(',').map(|size| size.trim().parse().unwrap()).collect();
        let mut columns = Vec::new();
        for size in &sizes {
            let begun = Instant::now();
            let installation = Installation::new(*size).await;
            println!("{size} users made in {:.0} s", begun.elapsed().as_secs_f64());
            let mut column = Vec::new();
            for (name, operation) in OPERATIONS {
                let mut times = Vec::new();
                for time in 0..TIMES + 2 {
                    let begun = Instant::now();
                    operation(&installation, time).await;
                    times.push(begun.elapsed());
                }
                times.drain(..2);
                times.sort();
                column.push((name, times[TIMES / 2].as_secs_f64() * 1e3));
            }
            columns.push(column);
        }
        print!("\n{:<44}", "milliseconds");
        sizes.iter().for_each(|size| print!("{size:>12}"));
        println!("{:>8}", "ratio");
        for (row, (name, _)) in OPERATIONS.iter().enumerate() {
            print!("{name:<44}");
            columns.iter().for_each(|column| print!("{:>12.2}", column[row].1));
            let (first, last) = (columns[0][row].1, columns[columns.len() - 1][row].1);
            println!("{:>8.2}", last / first);
        }
    });
}
