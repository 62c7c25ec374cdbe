//! The world: three instances, a primary with its standby, a broker, and what can happen to them.

use std::{fs, path::Path, sync::Arc, time::Duration};

use authy_client::{Client, LocalVerifier};
use authy_core::{Authy, api::role::NewRole, engine::MasterKeys};
use authy_tests::{
    SERVER_PROCESS_ISSUER, cheap, database, fresh_name,
    link::{Endpoint, Mode},
    new_account, operator,
    rabbit::{self, Node},
    until_within,
    watchdog::Watchdog,
};
use futures_util::future::join_all;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{sync::RwLockWriteGuard, time::sleep};

use super::{
    client::{Call, HttpClient},
    database::Databases,
    history::Fault,
    instance::{Instance, MAX_STALENESS, has_fake_clock, mode},
    load::ROLE,
    plan::{Cut, FaultKind, INSTANCES, Step},
    recorder::Recorder,
};

/// Number of verifiers.
const VERIFIERS: usize = 10;

/// How long everything may take until it works again after a fault has ended.
const RECOVERY: Duration = Duration::from_secs(60);

/// From this length on, a full disk stops the database. A shorter one fails the statements that need space.
const STOPS_DATABASE: Duration = Duration::from_secs(4);

/// Everything that runs.
pub(super) struct World {
    instances: Vec<Instance>,
    pub(super) databases: Databases,
    broker: RwLockWriteGuard<'static, Node>,
    /// The URL of the broker, for the test itself.
    pub(super) broker_url: String,
    /// An administrator's username.
    pub(super) administrator: String,
    /// A user who logs in to see whether an instance writes.
    visitor: String,
    recorder: Arc<Recorder>,
    // The last to be dropped: what is left then is ended by it.
    watchdog: Watchdog,
    _folder: TempDir,
}

impl World {
    pub(super) async fn start(recorder: Arc<Recorder>) -> Self {
        let (watchdog, folder) = (Watchdog::start(), database::folder());
        watchdog.remove(folder.path());
        let databases = Databases::start(&watchdog).await;
        let broker = rabbit::alone().await;
        let host = rabbit::fresh_host();
        let broker_url = broker.url(&host);
        let keys = MasterKeys::generate().unwrap();
        let [administrator, visitor] = prepare(&databases, keys.clone()).await;
        let mut instances = Vec::new();
        for number in 0..INSTANCES {
            instances.push(Instance::new(number, folder.path(), keys.clone(), host.clone()).await);
        }
        let mut world = Self {
            instances,
            databases,
            broker,
            broker_url,
            administrator,
            visitor,
            recorder,
            watchdog,
            _folder: folder,
        };
        world.lead();
        join_all(world.instances.iter_mut().map(|instance| instance.start(&world.watchdog))).await;
        world
    }

    /// Leads every network to where things are now.
    fn lead(&self) {
        for instance in &self.instances {
            for node in 0..2 {
                instance.database[node].lead_to(self.databases.endpoint(node));
            }
            instance.broker.lead_to(Some(Endpoint::Tcp(self.broker.address())));
        }
    }

    /// Clients of the instances.
    pub(super) fn clients(&self) -> Vec<HttpClient> {
        self.instances.iter().map(|instance| HttpClient::new(instance.url())).collect()
    }

    /// Verifiers, each of which follows one of the instances.
    pub(super) async fn verifiers(&self) -> Vec<LocalVerifier> {
        let start = |number: usize| {
            let client = Client::builder(&self.instances[number % INSTANCES].url()).build().unwrap();
            client.verifier().issuer(SERVER_PROCESS_ISSUER).max_staleness(MAX_STALENESS).start()
        };
        join_all((0..VERIFIERS).map(start)).await.into_iter().map(Result::unwrap).collect()
    }

    /// Has a fault happen, and repairs it. Returns why it was left out, when this machine does not permit it.
    pub(super) async fn suffer(&mut self, step: &Step) -> Option<&'static str> {
        let began = self.recorder.now();
        let mut may_lose = None;
        match step.fault {
            FaultKind::Clock(..) if !has_fake_clock() => return Some("there is no libfaketime"),
            FaultKind::FillDisk if !self.databases.has_small_disk => return Some("mounting is not permitted"),
            FaultKind::Kill(number) => {
                self.instances[number].kill().await;
                sleep(step.lasts).await;
                self.instances[number].start(&self.watchdog).await;
            }
            FaultKind::Freeze(number) => {
                self.instances[number].signal(Signal::STOP);
                sleep(step.lasts).await;
                self.instances[number].signal(Signal::CONT);
            }
            FaultKind::RollingRestart => {
                for number in 0..INSTANCES {
                    self.instances[number].stop().await;
                    self.instances[number].start(&self.watchdog).await;
                }
            }
            FaultKind::Clock(number, seconds) => {
                self.instances[number].set_clock(seconds);
                sleep(step.lasts).await;
                self.instances[number].set_clock(0);
            }
            FaultKind::CutClients(number, cut) => {
                self.instances[number].clients.set(mode(cut));
                sleep(step.lasts).await;
                self.instances[number].clients.set(Mode::Open);
            }
            FaultKind::CutDatabase(number, cut) => {
                self.set_database(number, mode(cut));
                sleep(step.lasts).await;
                self.set_database(number, Mode::Open);
            }
            FaultKind::FreezeDatabase => {
                let frozen = self.databases.freeze(&self.watchdog);
                sleep(step.lasts).await;
                Databases::thaw(&frozen);
            }
            FaultKind::KillDatabase => self.databases.kill().await,
            FaultKind::FailOver => {
                self.databases.lose_primary();
                sleep(step.lasts / 4).await;
                self.take_over().await;
            }
            FaultKind::FailOverBehind => {
                let from = self.recorder.now();
                self.databases.leave_standby_behind().await;
                sleep(step.lasts / 4).await;
                self.databases.lose_primary();
                self.take_over().await;
                may_lose = Some((from, self.recorder.now()));
            }
            FaultKind::KillBroker => {
                self.broker.kill().await;
                sleep(step.lasts).await;
                self.broker.start().await;
            }
            FaultKind::CutBroker(cut) => {
                self.set_broker(cut);
                sleep(step.lasts).await;
                self.instances.iter().for_each(|instance| instance.broker.set(Mode::Open));
            }
            FaultKind::FillDisk => {
                let ballast = self.databases.fill_disk();
                if step.lasts > STOPS_DATABASE {
                    self.databases.begin_wal_file().await;
                }
                sleep(step.lasts).await;
                fs::remove_file(ballast).unwrap();
                self.databases.until_writable().await;
            }
            FaultKind::Migrate => self.databases.extend_schema().await,
        }
        self.until_all_answer().await;
        let ended = self.recorder.now();
        self.recorder.fault(Fault { name: step.fault.to_string(), began, ended, may_lose });
        None
    }

    /// Promotes the standby, and gives it one of its own.
    async fn take_over(&mut self) {
        self.databases.promote().await;
        self.lead();
        self.databases.repair().await;
        self.lead();
    }

    fn set_database(&self, number: usize, mode: Mode) {
        self.instances[number].database.iter().for_each(|link| link.set(mode));
    }

    fn set_broker(&self, cut: Cut) {
        self.instances.iter().for_each(|instance| instance.broker.set(mode(cut)));
    }

    /// Waits until every instance executes a write.
    pub(super) async fn until_all_answer(&self) {
        for (number, client) in self.clients().into_iter().enumerate() {
            until_within(RECOVERY, &format!("instance {number} writes again"), async || {
                let body = Some(serde_json::json!({ "username": self.visitor, "password": authy_tests::PASSWORD }));
                let (method, path, request_id) = (http::Method::POST, "/authy/login".to_owned(), "recovery".to_owned());
                let answer = client.send(Call { method, path, body, token: None, request_id }).await;
                answer.is_ok_and(|answer| answer.status == 200)
            })
            .await;
        }
    }

    /// Returns what all instances have logged.
    pub(super) fn log_of_instances(&self) -> String {
        self.instances.iter().map(|instance| fs::read_to_string(instance.log()).unwrap()).collect()
    }

    /// Copies the logs of the instances and of the database into a folder.
    pub(super) fn keep_logs(&self, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for log in self.instances.iter().map(Instance::log) {
            fs::copy(&log, to.join(log.file_name().unwrap())).unwrap();
        }
        for (name, log) in self.databases.logs() {
            fs::copy(&log, to.join(name)).unwrap();
        }
    }
}

/// Migrates the database, and creates the role, an administrator and a visitor. Returns their usernames.
async fn prepare(databases: &Databases, keys: MasterKeys) -> [String; 2] {
    let authy = Authy::builder(databases.config())
        .without_background()
        .master_keys(keys)
        .config(cheap())
        .start()
        .await
        .unwrap();
    let role = NewRole {
        name: ROLE.parse().unwrap(),
        description: "May read everything".parse().unwrap(),
        level: 20.try_into().unwrap(),
    };
    authy.roles().create(&operator(), role).await.unwrap();
    let names = [fresh_name("administrator"), fresh_name("visitor")];
    for (name, role) in names.iter().zip(["superadmin", "guest"]) {
        authy.users().create(&operator(), new_account(name, role)).await.unwrap();
    }
    names
}
