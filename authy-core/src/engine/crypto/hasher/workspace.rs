//! The memory of argon2: lent to a job by its thread, kept from job to job, wiped as soon as no other job waits.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{Argon2, Block};
use zeroize::Zeroize;

/// What a hashing thread lends to its jobs. Fresh memory for each hash would cost thousands of page faults, up to
/// half of the speed.
pub(in crate::engine) struct Workspace {
    blocks: Vec<Block>,
    kept: usize,
    wiped: bool,
    hashes: Arc<AtomicU64>,
}

/// The least room that is reserved, in blocks of 1 KiB: above 32 MiB glibc is sure to give memory back to the system
/// when it is freed, below it may keep it for ever. Room that is reserved and not used costs nothing.
const RESERVED: usize = 33 * 1024;

impl Workspace {
    /// A workspace that keeps up to `memory_kib` KiB once it has needed them, and counts its hashes.
    pub(in crate::engine) fn new(memory_kib: u32, hashes: Arc<AtomicU64>) -> Self {
        Self { blocks: Vec::new(), kept: usize::try_from(memory_kib).unwrap_or(usize::MAX), wiped: true, hashes }
    }

    /// Computes one argon2 hash. Parameters that need more memory than is kept have it for this once.
    pub(in crate::engine) fn argon2(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> argon2::Result<()> {
        let needed = argon2.params().block_count();
        if self.blocks.len() < needed {
            // Given back before more is asked for: what it holds is of no use, so there is nothing to copy.
            self.release();
            let room = needed.max(self.kept);
            self.blocks.try_reserve_exact(room.max(RESERVED)).map_err(|_| argon2::Error::OutOfMemory)?;
            self.blocks.resize(room, Block::new());
        }
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let used = self.blocks.get_mut(..needed).unwrap_or_default();
        self.wiped = false;
        let hashed = argon2.hash_password_into_with_memory(password, salt, out, &mut *used);
        if self.blocks.len() > self.kept {
            self.release();
        }
        hashed
    }

    /// Whether nothing of a password is left in the memory.
    pub(in crate::engine) fn is_wiped(&self) -> bool {
        self.wiped
    }

    /// Wipes the memory. By the words of a block, a fifth quicker than by the block.
    pub(in crate::engine) fn wipe(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.as_mut().zeroize());
        self.wiped = true;
    }

    /// Wipes the memory and gives it back to the system.
    pub(in crate::engine) fn release(&mut self) {
        self.wipe();
        self.blocks = Vec::new();
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
