//! The number of users on all pages of a list: exact where that is cheap, and otherwise an estimate.

use super::{
    filter::{Filter, Part},
    sql,
};
use crate::{
    Result,
    engine::storage::{db::Db, statement::Params},
};

/// Up to this number, a total is exact: counting that many takes milliseconds.
pub(super) const MAX_EXACT: i64 = 10_000;

/// A total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) number: u64,
    pub(super) is_estimate: bool,
}

impl Total {
    fn exact(number: i64) -> Self {
        Self { number: number.unsigned_abs(), is_estimate: false }
    }

    fn estimate(number: i64) -> Self {
        Self { number: number.unsigned_abs(), is_estimate: true }
    }
}

/// Counts the users whom a filter selects. The cost is bounded: of each index, at most 10,001 users are examined.
pub(super) async fn count(db: &Db, filter: &Filter) -> Result<Total> {
    let part = filter.candidates();
    let candidates = count_candidates(db, filter, part).await?;
    match (candidates <= MAX_EXACT, filter.selects_all_candidates()) {
        (true, true) => return Ok(Total::exact(candidates)),
        (true, false) => {}
        (false, true) => return Ok(Total::estimate(estimate(db, filter).await?.max(candidates))),
        (false, false) => {
            // When there are clearly more, no user is looked up.
            let estimate = estimate(db, filter).await?;
            if estimate > 2 * MAX_EXACT {
                return Ok(Total::estimate(estimate));
            }
        }
    }
    let (selected, examined) = count_among(db, filter, part, (filter.deleted, filter.validated), filter.role).await?;
    if examined <= MAX_EXACT {
        return Ok(Total::exact(selected));
    }
    if selected <= MAX_EXACT
        && let Some(part) = find_few(db, filter).await?
    {
        return Ok(Total::exact(count_few(db, filter, part).await?));
    }
    Ok(Total::estimate(estimate(db, filter).await?.max(selected)))
}

/// Returns a part of a filter that selects at most 10,000 users.
pub(super) async fn find_few(db: &Db, filter: &Filter) -> Result<Option<Part>> {
    for part in filter.parts() {
        if count_candidates(db, filter, part).await? <= MAX_EXACT {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// Returns the number of users whom a part of a filter selects, at most 10,001.
async fn count_candidates(db: &Db, filter: &Filter, part: Part) -> Result<i64> {
    Ok(count_among(db, filter, part, (None, None), filter.role.filter(|_| part == Part::Role)).await?.1)
}

/// Returns the number of users who are in a state and have a role, among at most 10,001 whom a part of the filter selects,
/// and the number of those.
async fn count_among(
    db: &Db,
    filter: &Filter,
    part: Part,
    (deleted, validated): (Option<bool>, Option<bool>),
    role: Option<i32>,
) -> Result<(i64, i64)> {
    let limit = MAX_EXACT + 1;
    let row = match part {
        Part::All | Part::Deleted | Part::Unconfirmed => {
            let (is_deleted, is_unconfirmed) = part.partial_index();
            let params: Params<'_> = &[&deleted, &validated, &is_deleted, &is_unconfirmed, &limit];
            db.count_lagging(&sql::COUNT, params).await?
        }
        Part::Role => db.count_lagging(&sql::COUNT_MEMBERS, &[&deleted, &validated, &role, &limit]).await?,
        Part::Prefix => {
            let (prefix, end) = filter.range();
            let params: Params<'_> = &[&deleted, &validated, &role, &prefix, &end, &limit];
            db.count_lagging(&sql::COUNT_MATCHES, params).await?
        }
    };
    Ok((row.get("selected"), row.get("examined")))
}

async fn count_few(db: &Db, filter: &Filter, part: Part) -> Result<i64> {
    let Filter { role, deleted, validated, .. } = filter;
    let (prefix, end) = filter.range();
    let params: Params<'_> = &[deleted, validated, role, &prefix, &end, &part.name()];
    Ok(db.count_lagging(&sql::COUNT_FEW, params).await?.get("selected"))
}

/// Returns the planner's estimate, which is from the statistics of the tables.
async fn estimate(db: &Db, filter: &Filter) -> Result<i64> {
    let Filter { role, deleted, validated, .. } = filter;
    let (prefix, end) = filter.range();
    match role {
        None => db.estimate_lagging(&sql::SELECTED, &[deleted, validated, &prefix, &end]).await,
        Some(role) => db.estimate_lagging(&sql::SELECTED_MEMBERS, &[deleted, validated, &prefix, &end, role]).await,
    }
}
