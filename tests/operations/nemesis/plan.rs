//! The plan of a run: which faults, when and for how long, as a function of the seed alone.

use std::{fmt, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};

/// Number of instances.
pub(super) const INSTANCES: usize = 3;

/// A fault, and the instance that has it where it is one's alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FaultKind {
    /// An instance is killed, and started again.
    Kill(usize),
    /// An instance is frozen, and thawed.
    Freeze(usize),
    /// All instances are stopped in order and started again, one after the other.
    RollingRestart,
    /// The wall clock of an instance is ahead, or behind.
    Clock(usize, i64),
    /// No client reaches an instance.
    CutClients(usize, Cut),
    /// An instance does not reach the database.
    CutDatabase(usize, Cut),
    /// The database is frozen, and thawed.
    FreezeDatabase,
    /// The database is killed, and recovers.
    KillDatabase,
    /// The primary is lost, and the synchronous standby takes over.
    FailOver,
    /// The primary is lost, and a standby that was behind takes over.
    FailOverBehind,
    /// The broker is killed, and started again.
    KillBroker,
    /// No instance reaches the broker.
    CutBroker(Cut),
    /// The disk of the database is full.
    FillDisk,
    /// A newer release extends the schema.
    Migrate,
}

/// How a network fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Connections end.
    Ends,
    /// Connections stay, and nothing arrives.
    Hangs,
}

/// A fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// How long after the end of the one before.
    pub(super) pause: Duration,
    pub(super) fault: FaultKind,
    /// How long it lasts, without the repair.
    pub(super) lasts: Duration,
}

/// The faults of a seed, without end. Every kind comes once before any comes again.
pub(super) struct Plan {
    random: SmallRng,
    bag: Vec<FaultKind>,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), bag: Vec::new() }
    }

    fn refill(&mut self) {
        let random = &mut self.random;
        let mut cut = || if random.random_bool(0.5) { Cut::Ends } else { Cut::Hangs };
        let cuts = [(); 3].map(|()| cut());
        let mut instance = || random.random_range(0..INSTANCES);
        let [killed, frozen, moved, away, alone] = [(); 5].map(|()| instance());
        let seconds = if random.random_bool(0.4) { 3600 } else { random.random_range(2..=50) };
        let seconds = if random.random_bool(0.5) { seconds } else { -seconds };
        self.bag = vec![
            FaultKind::Kill(killed),
            FaultKind::Freeze(frozen),
            FaultKind::RollingRestart,
            FaultKind::Clock(moved, seconds),
            FaultKind::CutClients(away, cuts[0]),
            FaultKind::CutDatabase(alone, cuts[1]),
            FaultKind::FreezeDatabase,
            FaultKind::KillDatabase,
            FaultKind::FailOver,
            FaultKind::FailOverBehind,
            FaultKind::KillBroker,
            FaultKind::CutBroker(cuts[2]),
            FaultKind::FillDisk,
        ];
        self.bag.shuffle(&mut self.random);
        // The first of them, and nothing of it by chance: the seeds of earlier findings still give their faults.
        self.bag.push(FaultKind::Migrate);
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.bag.is_empty() {
            self.refill();
        }
        let fault = self.bag.pop()?;
        if fault == FaultKind::Migrate {
            return Some(Step { pause: Duration::from_secs(1), fault, lasts: Duration::ZERO });
        }
        // Most faults meet a world that has hardly recovered. The others leave time to see that it does.
        let pause = if self.random.random_bool(0.3) { 14_000..18_000 } else { 1_000..5_000 };
        let mut milliseconds = |range| Duration::from_millis(self.random.random_range(range));
        Some(Step { pause: milliseconds(pause), fault, lasts: milliseconds(1_000..8_000) })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(instance) => write!(f, "kill -9 of instance {instance}"),
            Self::Freeze(instance) => write!(f, "instance {instance} is frozen"),
            Self::RollingRestart => f.write_str("rolling restart"),
            Self::Clock(instance, seconds) => write!(f, "clock of instance {instance} moved by {seconds:+} s"),
            Self::CutClients(instance, cut) => write!(f, "the network from clients to instance {instance} {cut}"),
            Self::CutDatabase(instance, cut) => write!(f, "the network from instance {instance} to the database {cut}"),
            Self::FreezeDatabase => f.write_str("the database is frozen"),
            Self::KillDatabase => f.write_str("kill -9 of the database"),
            Self::FailOver => f.write_str("failover, synchronous"),
            Self::FailOverBehind => f.write_str("failover, asynchronous"),
            Self::KillBroker => f.write_str("kill -9 of the broker"),
            Self::CutBroker(cut) => write!(f, "the network to the broker {cut}"),
            Self::FillDisk => f.write_str("the disk of the database is full"),
            Self::Migrate => f.write_str("a newer release extends the schema"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ends => "is cut",
            Self::Hangs => "hangs",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pause, fault, lasts } = self;
        write!(f, "after {:.1} s, for {:.1} s: {fault}", pause.as_secs_f64(), lasts.as_secs_f64())
    }
}

#[test]
fn a_seed_gives_the_same_plan_every_time_and_another_seed_another() {
    let plan = |seed| Plan::of(seed).take(40).collect::<Vec<_>>();
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn every_kind_of_fault_comes_once_before_any_comes_again() {
    let kinds = |steps: Vec<Step>| -> Vec<_> {
        let mut kinds: Vec<_> = steps.iter().map(|step| format!("{:?}", std::mem::discriminant(&step.fault))).collect();
        kinds.sort_unstable();
        kinds
    };
    let first = kinds(Plan::of(3).take(14).collect());
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 14);
    assert_eq!(first, kinds(Plan::of(3).skip(14).take(14).collect()));
}
