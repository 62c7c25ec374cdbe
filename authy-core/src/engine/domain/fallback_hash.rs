//! Fallback hashes: password hashes that the program understands which authy has replaced, so that its operator can start
//! it again without making users reset their passwords.
//!
//! They are weaker than argon2id, so they are kept only while [`Config::keep_fallback_hashes`](crate::engine::Config) says
//! so, encrypted with the master key, and never longer than the password that they are for.

use std::{
    collections::VecDeque,
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{sync::Notify, time::timeout};
use zeroize::Zeroizing;

use crate::{
    Result, Secret, UserId,
    api::event::EventKind,
    engine::{
        crypto::{
            hasher::HashRequester,
            master::MasterKeys,
            password::{Passwords, Verdict, is_werkzeug, stored::password_digest},
        },
        journal::{
            caller::Caller,
            event::Event,
            write::{Journal, Tx, Written},
        },
        storage::{connector::db_error, db::Db, statement::Params},
    },
};

pub(in crate::engine) mod reseal;
pub(in crate::engine) mod sql;

/// What an export stores in place of a hash that is not known: werkzeug verifies no password with a text without two dollar
/// signs, and an import takes it for an account without a password.
pub(in crate::engine) const UNUSABLE: &str = "!";

/// Maximum number of passwords that wait for a fallback hash: a minute of work. Those beyond it have another chance at the
/// next login of their users.
const CAPACITY: usize = 128;

/// Maximum time for which a password waits, so that none stays in memory while the server has no time.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// Maximum time that a stop waits for them: as long as for the deliveries under way, which are finished meanwhile.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps fallback hashes, if it is to keep them, and opens those that are kept.
#[derive(Clone)]
pub(in crate::engine) struct FallbackHashes {
    master: MasterKeys,
    keeper: Option<Arc<Keeper>>,
}

struct Keeper {
    db: Arc<Db>,
    passwords: Arc<Passwords>,
    master: MasterKeys,
    queue: Mutex<Queue>,
    /// When there is nothing left to do.
    idle: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<PlainPassword>,
    /// Whether a task works on them.
    has_task: bool,
}

/// A password that was just used or set, and the hash that is stored for it.
struct PlainPassword {
    user: UserId,
    phc: Zeroizing<String>,
    /// The password is one of these.
    forms: Vec<Secret>,
    since: Instant,
}

impl FallbackHashes {
    /// Creates one that keeps no hashes.
    pub(in crate::engine) fn new(master: MasterKeys) -> Self {
        Self { master, keeper: None }
    }

    /// Makes it keep hashes.
    pub(in crate::engine) fn keeping(self, db: Arc<Db>, passwords: Arc<Passwords>) -> Self {
        let (master, queue, idle) = (self.master.clone(), Mutex::default(), Notify::new());
        let keeper = Keeper { db, passwords, master, queue, idle };
        Self { keeper: Some(Arc::new(keeper)), ..self }
    }

    /// Keeps the hash that an import brought, inside of the transaction that replaces it by `phc`. Does nothing when the hash
    /// is not one of werkzeug.
    pub(in crate::engine) async fn keep_imported(
        &self,
        tx: &Tx<'_>,
        user: UserId,
        imported: &str,
        phc: &str,
    ) -> Result<()> {
        if self.keeper.is_none() || !is_werkzeug(imported) {
            return Ok(());
        }
        let sealed = self.master.seal(&context(user), imported.as_bytes())?;
        sql::KEEP_HASH.execute(tx, &[user.as_uuid(), &phc, &sealed]).await.map(drop).map_err(db_error)
    }

    /// Has a fallback hash made of a password that was just used or set, some time after this, at the lowest priority: nobody
    /// waits for it. `phc` is the hash that is stored for it now. Of several forms, one is the password.
    ///
    /// It may fail, for example when there are too many: then the next login offers the password again.
    pub(in crate::engine) fn offer(&self, user: UserId, phc: &str, forms: &[&Secret]) {
        let Some(keeper) = &self.keeper else { return };
        let mut queue = keeper.lock();
        if queue.waiting.len() >= CAPACITY {
            return;
        }
        let forms = forms.iter().copied().cloned().collect();
        queue.waiting.push_back(PlainPassword {
            user,
            phc: Zeroizing::new(phc.to_owned()),
            forms,
            since: Instant::now(),
        });
        if !queue.has_task {
            queue.has_task = true;
            tokio::spawn(Arc::clone(keeper).work());
        }
    }

    /// Waits until the passwords that were offered have their hashes, because the process ends, for [`FINISH_TIMEOUT`] at most. The
    /// others have another chance at the next login of their users.
    pub(in crate::engine) async fn finish(&self) {
        let Some(keeper) = &self.keeper else { return };
        if timeout(FINISH_TIMEOUT, keeper.until_idle()).await.is_err() {
            let waiting = keeper.lock().waiting.len() + 1;
            tracing::warn!(waiting, "passwords have no hash for the first authy before the next login of their users");
        }
    }

    /// Decrypts a fallback hash of a user. `None` when its master key is no longer known.
    pub(in crate::engine) fn open(&self, user: UserId, sealed: &[u8]) -> Option<Secret> {
        let text = self.master.open(&context(user), sealed).ok()?;
        str::from_utf8(&text).ok().map(Secret::new)
    }
}

impl Keeper {
    async fn work(self: Arc<Self>) {
        while let Some(password) = self.next() {
            if password.since.elapsed() > MAX_WAIT {
                continue;
            }
            if let Err(error) = self.keep(password).await {
                tracing::debug!(error = crate::error::chain(&error), "a fallback hash was not made");
            }
        }
    }

    fn next(&self) -> Option<PlainPassword> {
        let mut queue = self.lock();
        let next = queue.waiting.pop_front();
        queue.has_task = next.is_some();
        if next.is_none() {
            self.idle.notify_waiters();
        }
        next
    }

    async fn until_idle(&self) {
        loop {
            // Before the question, so that no answer is missed.
            let mut idle = pin!(self.idle.notified());
            idle.as_mut().enable();
            if !self.lock().has_task {
                return;
            }
            idle.await;
        }
    }

    async fn keep(&self, PlainPassword { user, phc, forms, .. }: PlainPassword) -> Result<()> {
        // One that no master key decrypts any more is as good as none.
        let known: Vec<Vec<u8>> = self.master.ids()?.iter().map(|id| id.to_vec()).collect();
        let params: Params<'_> = &[user.as_uuid(), &phc.as_str(), &password_digest(Some(UNUSABLE)), &known];
        if self.db.read_opt(&sql::NEEDS_ONE, params).await?.is_none() {
            return Ok(());
        }
        let Some(password) = self.used(forms, &phc).await? else { return Ok(()) };
        let hash = self.passwords.hash_for_fallback(password).await?;
        let sealed = self.master.seal(&context(user), hash.expose().as_bytes())?;
        let params: Params<'_> = &[user.as_uuid(), &phc.as_str(), &sealed];
        self.db.write_quietly(&sql::KEEP_HASH, params).await.map(drop)
    }

    /// Returns the form that was hashed.
    async fn used(&self, mut forms: Vec<Secret>, phc: &str) -> Result<Option<Secret>> {
        if forms.len() == 1 {
            return Ok(forms.pop());
        }
        for form in forms {
            let verdict = self.passwords.verify_any(HashRequester::background(), &[&form], Some(phc), || ()).await?;
            if verdict != Verdict::Mismatch {
                return Ok(Some(form));
            }
        }
        Ok(None)
    }

    // The queue is consistent whenever it is unlocked, even if a holder has panicked.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets all fallback hashes, for the operator. Returns their number.
pub(in crate::engine) async fn forget_all(journal: &Journal, caller: &Caller) -> Result<u64> {
    journal
        .write(caller, async |tx| {
            let actor = tx.operator()?;
            let forgotten = sql::FORGET_ALL.execute(tx, &[]).await.map_err(db_error)?;
            // Also of none: that an operator gave the way back up is to be seen.
            let event = Event::new(EventKind::FallbackHashesForgotten, &actor).detail(json!({ "hashes": forgotten }));
            Ok(Written::new(forgotten, event))
        })
        .await
}

/// Returns the number of fallback hashes.
pub(in crate::engine) async fn count(db: &Db) -> Result<u64> {
    Ok(db.read_one(&sql::COUNT, &[]).await?.get::<_, i64>("kept").unsigned_abs())
}

/// Returns what a fallback hash is encrypted for: it cannot be moved to another user.
fn context(user: UserId) -> String {
    format!("fallback hash of {user}")
}

impl fmt::Debug for FallbackHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackHashes").field("keeps", &self.keeper.is_some()).finish_non_exhaustive()
    }
}
