//! Reads one page of a list of users.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Start,
    filter::{Filter, Order, Part},
    sql, total, view,
};
use crate::{
    Error, Result,
    api::{
        page::{
            cursor::{ListPosition, PositionKey},
            page_beyond_examined,
        },
        user::UserView,
    },
    engine::storage::{db::Db, statement::Params},
};

/// Maximum number of candidates that a page is searched among: about 30 ms of work. A page by its number may need four
/// times its last place instead.
const MAX_CANDIDATES: i64 = 10_000;

/// Number of candidates per requested user that are examined at first: enough where most are selected.
const CANDIDATES_A_USER: i64 = 4;

/// What was read, in the direction of the page.
pub(super) struct Scan {
    pub(super) rows: Vec<FoundUser>,
    /// The position from which the list continues in this direction; `None` when it has ended.
    pub(super) more: Option<ListPosition>,
}

pub(super) struct FoundUser {
    pub(super) user: UserView,
    pub(super) position: ListPosition,
}

/// Reads a page of at most `size` users.
pub(super) async fn read(db: &Db, filter: &Filter, start: &Start, size: u32) -> Result<Scan> {
    // One more than requested, to find out whether there are more.
    let limit = i64::from(size) + 1;
    let needed = i64::from(start.offset) + limit;
    // A user can be a candidate for a search twice.
    if filter.selects_all_candidates() && filter.order() != Order::Match {
        let found = candidates(db, filter, start, needed, limit).await?;
        return Ok(cut(found.rows, size));
    }
    let few = CANDIDATES_A_USER * needed;
    let mut found = candidates(db, filter, start, few, limit).await?;
    if found.is_short(size) && few < MAX_CANDIDATES {
        found = candidates(db, filter, start, MAX_CANDIDATES, limit).await?;
    }
    match (found.is_short(size), found.last) {
        (false, _) | (true, None) => Ok(cut(found.rows, size)),
        (true, Some(last)) => match total::find_few(db, filter).await? {
            Some(part) => Ok(cut(among_few(db, filter, part, start, limit).await?, size)),
            None if start.offset > 0 => Err(Error::invalid(vec![page_beyond_examined().of("page")])),
            None => Ok(Scan { rows: found.rows, more: Some(last) }),
        },
    }
}

/// Removes the user beyond the page, and notes that there is one.
fn cut(mut rows: Vec<FoundUser>, size: u32) -> Scan {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = rows.len() > size;
    rows.truncate(size);
    let more = rows.last().filter(|_| has_more).map(|row| row.position.clone());
    Scan { rows, more }
}

struct Candidates {
    /// Those who are selected.
    rows: Vec<FoundUser>,
    /// The position of the last one, unless all there are have been examined, or the page was full before.
    last: Option<ListPosition>,
}

impl Candidates {
    /// Returns whether there may be more users for the page behind the candidates.
    fn is_short(&self, size: u32) -> bool {
        self.last.is_some() && self.rows.len() <= usize::try_from(size).unwrap_or(usize::MAX)
    }
}

async fn candidates(db: &Db, filter: &Filter, start: &Start, number: i64, limit: i64) -> Result<Candidates> {
    let Filter { role, deleted, validated, .. } = filter;
    let Key { time, text, id } = Key::of(start);
    let offset = i64::from(start.offset);
    let rows = match filter.order() {
        Order::Creation => {
            let (is_deleted, is_unconfirmed) = filter.candidates().partial_index();
            let params: Params<'_> =
                &[&time, &id, deleted, validated, &is_deleted, &is_unconfirmed, &number, &offset, &limit];
            let statement = if start.is_backward { &sql::LIST_BACKWARD } else { &sql::LIST };
            db.list_lagging(statement, params).await?
        }
        Order::Grant => {
            let params: Params<'_> = &[&time, &id, deleted, validated, role, &number, &offset, &limit];
            let statement = if start.is_backward { &sql::LIST_MEMBERS_BACKWARD } else { &sql::LIST_MEMBERS };
            db.list_lagging(statement, params).await?
        }
        Order::Match => {
            let (prefix, end) = filter.range();
            let params: Params<'_> = &[&text, &id, deleted, validated, role, &prefix, &end, &number, &offset, &limit];
            let statement = if start.is_backward { &sql::LIST_MATCHES_BACKWARD } else { &sql::LIST_MATCHES };
            db.list_lagging(statement, params).await?
        }
    };
    let position = |row: &Row| match filter.order() {
        Order::Match => text_position(row, "place"),
        Order::Creation | Order::Grant => time_position(row, "place"),
    };
    let last = rows.iter().find(|row| row.get("is_last")).map(position);
    let selected = rows.iter().filter(|row| row.get("is_selected"));
    let rows = selected.map(|row| FoundUser { user: view(row), position: position(row) }).collect();
    Ok(Candidates { rows, last })
}

/// Reads a page, when a part of the filter selects few users.
async fn among_few(db: &Db, filter: &Filter, part: Part, start: &Start, limit: i64) -> Result<Vec<FoundUser>> {
    let Filter { role, deleted, validated, .. } = filter;
    let (prefix, end) = filter.range();
    let Key { time, text, id } = Key::of(start);
    let (part, offset) = (part.name(), i64::from(start.offset));
    let params: Params<'_> =
        &[deleted, validated, role, &prefix, &end, &part, &time, &text, &id, &start.is_backward, &offset, &limit];
    let rows = db.list_lagging(&sql::LIST_FEW, params).await?;
    let position = |row: &Row| match filter.order() {
        Order::Match => text_position(row, "text_place"),
        Order::Creation | Order::Grant => time_position(row, "time_place"),
    };
    Ok(rows.iter().map(|row| FoundUser { user: view(row), position: position(row) }).collect())
}

/// A position as parameters.
struct Key<'a> {
    time: Option<DateTime<Utc>>,
    text: Option<&'a str>,
    id: Option<Uuid>,
}

impl<'a> Key<'a> {
    fn of(start: &'a Start) -> Self {
        let id = start.position.as_ref().map(|position| position.id);
        match start.position.as_ref().map(|position| &position.key) {
            None => Self { time: None, text: None, id },
            Some(PositionKey::Text(text)) => Self { time: None, text: Some(text), id },
            // Later than PostgreSQL's last date is after everybody.
            Some(PositionKey::Time(micros)) => {
                let time = DateTime::from_timestamp_micros(*micros).unwrap_or(DateTime::<Utc>::MAX_UTC);
                Self { time: Some(time), text: None, id }
            }
        }
    }
}

fn time_position(row: &Row, column: &str) -> ListPosition {
    let time: DateTime<Utc> = row.get(column);
    ListPosition { key: PositionKey::Time(time.timestamp_micros()), id: row.get("public_id") }
}

fn text_position(row: &Row, column: &str) -> ListPosition {
    ListPosition { key: PositionKey::Text(row.get(column)), id: row.get("public_id") }
}
