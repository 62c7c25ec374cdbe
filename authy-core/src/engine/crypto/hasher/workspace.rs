//! The memory for argon2. A thread lends it to each job, keeps it for the next one, and overwrites it when no other job
//! waits.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use allocator_api2::{alloc::System, vec::Vec};
use argon2::{Argon2, Block};
use zeroize::Zeroize;

/// The memory that a hashing thread lends to its jobs. Fresh memory for each hash would cost thousands of page faults
/// and up to half of the speed.
pub(in crate::engine) struct Workspace {
    // From the allocator of the system, whichever the program uses for all else: it gives a large allocation a mapping of its own,
    // which goes back to the system as a whole. Others keep it, or add it to their heap.
    blocks: Vec<Block, System>,
    kept: usize,
    wiped: bool,
    hashes: Arc<AtomicU64>,
}

/// Minimum capacity that is reserved, in blocks of 1 KiB. Above 32 MiB, glibc always returns freed memory to the
/// system; below, it may keep it. Reserved memory that is not used costs nothing.
const MIN_RESERVED_BLOCKS: usize = 33 * 1024;

impl Workspace {
    /// Creates a workspace that keeps up to `memory_kib` KiB after their first use, and counts its hashes.
    pub(in crate::engine) fn new(memory_kib: u32, hashes: Arc<AtomicU64>) -> Self {
        Self {
            blocks: Vec::new_in(System),
            kept: usize::try_from(memory_kib).unwrap_or(usize::MAX),
            wiped: true,
            hashes,
        }
    }

    /// Computes one argon2 hash. Parameters that need more memory than the workspace keeps get it temporarily.
    pub(in crate::engine) fn argon2(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> argon2::Result<()> {
        let needed = argon2.params().block_count();
        if self.blocks.len() < needed {
            // Released before the new allocation: the old content is not needed, so there is nothing to copy.
            self.release();
            let room = needed.max(self.kept);
            self.blocks.try_reserve_exact(room.max(MIN_RESERVED_BLOCKS)).map_err(|_| argon2::Error::OutOfMemory)?;
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

    /// Returns whether the memory contains no data of a password.
    pub(in crate::engine) fn is_wiped(&self) -> bool {
        self.wiped
    }

    /// Overwrites the memory. Word by word, which is a fifth faster than block by block.
    pub(in crate::engine) fn wipe(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.as_mut().zeroize());
        self.wiped = true;
    }

    /// Overwrites the memory and returns it to the system.
    pub(in crate::engine) fn release(&mut self) {
        self.wipe();
        self.blocks = Vec::new_in(System);
    }
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
