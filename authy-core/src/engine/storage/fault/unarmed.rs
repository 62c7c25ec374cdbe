//! Fault points without an effect: every function is the identity, and the compiler removes it.

pub(in crate::engine) enum Track {
    Relay,
    Maintenance,
    Follow,
}

pub(in crate::engine) fn point(_: &'static str) {}

pub(in crate::engine) fn around<F: Future>(_: &'static str, work: F) -> F {
    work
}

pub(in crate::engine) fn on<F: Future>(_: Track, work: F) -> F {
    work
}
