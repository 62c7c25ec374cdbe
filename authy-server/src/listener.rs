//! The listener that a request came in on, which decides what there is to be called.

/// The listener that a request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// That of another program's server, which mounts the API and has paths of its own.
    Mounted,
    /// The only one of this server: it has everything.
    Sole,
    /// The one for everybody, beside an admin listener: it has what is not for administrators alone.
    Public,
    /// The admin listener: it has everything.
    Admin,
}

impl Listener {
    /// Returns whether requests come straight from hyper: then nobody has checked what hyper leaves to its users.
    pub(crate) fn is_own(self) -> bool {
        self != Listener::Mounted
    }

    /// Returns whether it has the paths of operations: for load balancers, process managers and monitoring.
    pub(crate) fn has_operations(self) -> bool {
        matches!(self, Listener::Sole | Listener::Admin)
    }

    /// Returns whether administrators can exercise their power over others.
    pub(crate) fn has_administration(self) -> bool {
        self != Listener::Public
    }
}
