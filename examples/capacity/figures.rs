//! What an operation costs, as `cargo bench -p authy-tests --bench cost` and `--bench load` have measured it.
//!
//! Bytes and commits are the same everywhere, and a test measures them again. The times are those of one core of a virtual machine
//! of 2026: measure them on yours.

/// What an operation costs the database and the server.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// The operation.
    pub name: &'static str,
    /// Transactions that write.
    pub commits: f64,
    /// Bytes of write-ahead log, without images of whole pages.
    pub wal_bytes: f64,
    /// Bytes of tables and indexes, without the audit trail, until what was stored is deleted.
    pub stored_bytes: f64,
    /// Bytes of the audit trail.
    pub event_bytes: f64,
    /// CPU time of PostgreSQL in microseconds.
    pub database_us: f64,
    /// CPU time of the server in microseconds, without the hash of the password and without HTTP.
    pub server_us: f64,
}

const fn figures(name: &'static str, counted: [f64; 4], times: [f64; 2]) -> Figures {
    let [commits, wal_bytes, stored_bytes, event_bytes] = counted;
    let [database_us, server_us] = times;
    Figures { name, commits, wal_bytes, stored_bytes, event_bytes, database_us, server_us }
}

/// A sign-up.
pub const SIGN_UP: Figures = figures("sign-up", [1.0, 2499.0, 1130.0, 421.0], [820.0, 610.0]);
/// A login.
pub const LOGIN: Figures = figures("login", [1.0, 1104.0, 290.0, 325.0], [430.0, 270.0]);
/// A login with a wrong password.
pub const REFUSED_LOGIN: Figures = figures("refused login", [2.0, 565.0, 200.0, 0.0], [360.0, 270.0]);
/// A refresh.
pub const REFRESH: Figures = figures("refresh", [1.0, 694.0, 0.0, 300.0], [410.0, 90.0]);
/// A logout.
pub const LOGOUT: Figures = figures("logout", [2.0, 1705.0, 200.0, 500.0], [1160.0, 520.0]);
/// A read of a user.
pub const READ: Figures = figures("read of a user", [0.0, 0.0, 0.0, 0.0], [100.0, 90.0]);

/// All of them.
pub const ALL: [Figures; 6] = [SIGN_UP, LOGIN, REFUSED_LOGIN, REFRESH, LOGOUT, READ];

/// CPU time of one request over HTTP/1.1, of which a token check consists, in microseconds.
pub const REQUEST_US: f64 = 20.0;

/// CPU time of PostgreSQL for a server without requests, in microseconds a second.
pub const IDLE_DATABASE_US: f64 = 4500.0;

/// Connections of a server without sinks (docs/database.md), and of each sink.
pub const CONNECTIONS: f64 = 13.0;
/// Connections of each sink.
pub const CONNECTIONS_OF_SINK: f64 = 2.0;

/// Memory of a connection in PostgreSQL, in bytes.
pub const CONNECTION_BYTES: f64 = 3.8e6;

/// The rows of the table in docs/scaling.md.
#[allow(dead_code, reason = "for the test of the page")]
pub fn table() -> String {
    let mut table = String::from(
        "| operation | commits | WAL, bytes | stored, bytes | audit trail, bytes | PostgreSQL, CPU µs | server, CPU µs |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for Figures { name, commits, wal_bytes, stored_bytes, event_bytes, database_us, server_us } in ALL {
        table += &format!(
            "| {name} | {commits} | {wal_bytes} | {stored_bytes} | {event_bytes} | {database_us} | {server_us} |\n"
        );
    }
    table
}
