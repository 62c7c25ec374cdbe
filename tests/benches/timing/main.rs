//! Whether the time of an answer reveals what the answer hides: `cargo bench -p authy-tests --bench timing`.
//!
//! Requests that must look the same (refused logins, forgotten passwords) are sent over HTTP, one at a time, in a new
//! random order each round, and their times are compared by the distance of Kolmogorov and Smirnov: the greatest
//! difference between two distributions, from 0 to 1. Two classes are distinguishable when it is more than chance makes
//! of equal ones once in a thousand. Two controls say whether the measurement can be trusted: a class that is measured
//! twice must look like itself, and one that takes 0.2 ms longer must stand out.
//!
//! Hashes are cheap here (some 2 ms): what a hash hides among its own noise would show. `TIMING_SAMPLES` sets the
//! number of samples a class, `TIMING_ARGON2` the hashes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use std::{env, time::Duration};

mod classes;
mod distribution;

use classes::{Ask, TimingFixture};
use distribution::Distribution;

// As the server has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the control adds.
const LEAK: Duration = Duration::from_micros(200);

fn main() {
    let samples = env::var("TIMING_SAMPLES").map_or(2000, |samples| samples.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for group in classes::groups() {
        let mut fixture = runtime.block_on(TimingFixture::new());
        println!("{} ({samples} samples each):\n", group.name);
        let mut classes: Vec<_> = group.classes.iter().map(|class| (class.name, class.ask, Duration::ZERO)).collect();
        let first = group.classes[0].ask;
        classes.push(("control: the first again", first, Duration::ZERO));
        classes.push(("control: the first, and 0.2 ms", first, LEAK));
        let distributions = measure(&runtime, &mut fixture, &classes, group.status, samples);
        let [.., null, leak] = &distributions[..] else { unreachable!() };
        report(&classes, &distributions);
        assert!(!distributions[0].differs_from(null), "equal classes are distinguishable: the machine is too busy");
        assert!(distributions[0].differs_from(leak), "0.2 ms would not be noticed: more samples, or a quieter machine");
    }
}

fn measure(
    runtime: &tokio::runtime::Runtime,
    fixture: &mut TimingFixture,
    classes: &[(&str, Ask, Duration)],
    status: &str,
    samples: usize,
) -> Vec<Distribution> {
    let mut times = vec![Vec::with_capacity(samples); classes.len()];
    let mut order: Vec<_> = (0..classes.len()).collect();
    let mut random = Random(0x5eed);
    let warm_up = samples / 20 + 10;
    for round in 0..warm_up + samples {
        random.shuffle(&mut order);
        for &class in &order {
            // Each begins with the same history: what was counted of the others is forgotten.
            runtime.block_on(fixture.tidy());
            let (_, ask, leak) = &classes[class];
            let time = fixture.time(ask, status, round, *leak);
            if round >= warm_up {
                times[class].push(time);
            }
        }
    }
    times.into_iter().map(Distribution::new).collect()
}

fn report(classes: &[(&str, Ask, Duration)], distributions: &[Distribution]) {
    println!("{:<34}{:>9}{:>9}{:>9}{:>9}  ms", "", "p10", "p50", "p90", "p99");
    for ((name, ..), distribution) in classes.iter().zip(distributions) {
        let quantile = |q| distribution.quantile(q).as_secs_f64() * 1e3;
        println!("{name:<34}{:>9.3}{:>9.3}{:>9.3}{:>9.3}", quantile(0.1), quantile(0.5), quantile(0.9), quantile(0.99));
    }
    println!("\nKolmogorov-Smirnov distances; above {:.3} two classes differ (*):", distributions[0].critical());
    print!("{:<34}", "");
    (1..classes.len()).for_each(|column| print!("{column:>8}"));
    println!();
    for (row, (name, ..)) in classes.iter().enumerate().take(classes.len() - 1) {
        print!("{:<34}", format!("{row} {name}"));
        for column in 1..classes.len() {
            let (one, other) = (&distributions[row], &distributions[column]);
            let mark = if one.differs_from(other) { '*' } else { ' ' };
            if column > row { print!("{:>7.3}{mark}", one.distance(other)) } else { print!("{:>8}", "") }
        }
        println!();
    }
    println!();
}

/// A generator of random numbers that begins the same each time (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.next() as usize % (last + 1);
            items.swap(last, other);
        }
    }
}
