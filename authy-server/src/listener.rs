//! The listener that a request came in on.

/// The listener that a request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// That of another program's server, which mounts the API.
    Mounted,
    /// The only one of this server.
    Sole,
}

impl Listener {
    /// Returns whether the request came straight from hyper: then nobody has checked what hyper leaves to its users.
    pub(crate) fn is_own(self) -> bool {
        self != Listener::Mounted
    }
}
