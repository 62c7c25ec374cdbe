//! Access to PostgreSQL: connections, statements, and migrations.

mod announced;
pub(in crate::engine) mod connector;
pub(in crate::engine) mod count;
pub(in crate::engine) mod db;
mod embedder;
pub(in crate::engine) mod fault;
pub(in crate::engine) mod generation;
pub(in crate::engine) mod migrate;
pub(in crate::engine) mod page;
pub(in crate::engine) mod pooler;
pub(in crate::engine) mod read_pool;
pub(in crate::engine) mod reads_by_id;
pub(in crate::engine) mod replica;
pub(in crate::engine) mod requirements;
pub(in crate::engine) mod row;
pub(in crate::engine) mod session;
pub(in crate::engine) mod statement;
pub(in crate::engine) mod wait;
pub(in crate::engine) mod write_state;
