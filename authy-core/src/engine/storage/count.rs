//! A number that is counted up to a maximum, so that it takes milliseconds however many there are.

/// Maximum number of rows that are examined for a count.
pub(in crate::engine) const MAX_COUNTED: i64 = 10_000;

/// A number of rows, counted among the first 10,000 that may count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BoundedCount {
    /// The number that were counted.
    pub number: u64,
    /// Whether there may be more.
    pub is_at_least: bool,
}

impl BoundedCount {
    /// Creates a count from the numbers of rows that were counted, and examined with a limit of one more than the maximum.
    pub(in crate::engine) fn new(counted: i64, examined: i64) -> Self {
        Self { number: counted.min(MAX_COUNTED).unsigned_abs(), is_at_least: examined > MAX_COUNTED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_maximum_says_that_there_may_be_more() {
        for (counted, examined, expected) in
            [(0, 0, (0, false)), (3, 10_000, (3, false)), (3, 10_001, (3, true)), (10_001, 10_001, (10_000, true))]
        {
            let BoundedCount { number, is_at_least } = BoundedCount::new(counted, examined);
            assert_eq!((number, is_at_least), expected);
        }
    }
}
