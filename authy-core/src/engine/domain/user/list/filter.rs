//! Whom a list of users selects, and in which order.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::json;

use crate::api::page::{
    ListCursor,
    cursor::{CHECK_BYTES, ListPosition, PositionKey},
};

/// A list and its filters.
pub(super) struct Filter {
    /// The name of the list: its cursors are not those of another one.
    pub(super) list: &'static str,
    /// The range of the names and addresses that begin with a text: from the text to just before the next one.
    pub(super) prefix: Option<(String, String)>,
    /// The ID of a role.
    pub(super) role: Option<i32>,
    pub(super) deleted: Option<bool>,
    pub(super) validated: Option<bool>,
}

/// The order of a list. Each is that of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By creation.
    Creation,
    /// By the grant of the role.
    Grant,
    /// By the matching name or address.
    Match,
}

/// A part of a filter, with an index of the users whom it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// No part: all users.
    All,
    Deleted,
    Unconfirmed,
    Role,
    Prefix,
}

impl Part {
    /// Returns the name in the statements.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Deleted => "deleted",
            Self::Unconfirmed => "unconfirmed",
            Self::Role => "role",
            Self::Prefix => "prefix",
        }
    }

    /// Returns whether users are examined in the order of their creation among the deleted ones only, and among those
    /// without a confirmed address only. `None` is no.
    pub(super) fn partial_index(self) -> (Option<bool>, Option<bool>) {
        ((self == Self::Deleted).then_some(true), (self == Self::Unconfirmed).then_some(true))
    }
}

impl Filter {
    /// Creates the filter of the members of a role who are not deleted.
    pub(super) fn members(role: i32) -> Self {
        Self { list: "members", prefix: None, role: Some(role), deleted: Some(false), validated: None }
    }

    pub(super) fn order(&self) -> Order {
        match (&self.prefix, self.role) {
            (Some(_), _) => Order::Match,
            (None, Some(_)) => Order::Grant,
            (None, None) => Order::Creation,
        }
    }

    /// Returns the part in whose index the users are examined in the order of the list.
    pub(super) fn candidates(&self) -> Part {
        match self.order() {
            Order::Match => Part::Prefix,
            Order::Grant => Part::Role,
            Order::Creation if self.deleted == Some(true) => Part::Deleted,
            Order::Creation if self.validated == Some(false) => Part::Unconfirmed,
            Order::Creation => Part::All,
        }
    }

    /// Returns whether every candidate is selected.
    pub(super) fn selects_all_candidates(&self) -> bool {
        let state = (self.deleted, self.validated);
        match self.candidates() {
            Part::All | Part::Role => state == (None, None),
            Part::Deleted => self.validated.is_none(),
            Part::Unconfirmed => self.deleted.is_none(),
            Part::Prefix => state == (None, None) && self.role.is_none(),
        }
    }

    /// Returns the parts that may select few users.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let parts = [
            (Part::Deleted, self.deleted == Some(true)),
            (Part::Unconfirmed, self.validated == Some(false)),
            (Part::Role, self.role.is_some()),
            (Part::Prefix, self.prefix.is_some()),
        ];
        parts.into_iter().filter_map(|(part, is_present)| is_present.then_some(part))
    }

    /// Returns the prefix and the end of its range, as parameters.
    pub(super) fn range(&self) -> (Option<&str>, Option<&str>) {
        match &self.prefix {
            Some((prefix, end)) => (Some(prefix), Some(end)),
            None => (None, None),
        }
    }

    /// Returns the cursor of a position in this list.
    pub(super) fn cursor(&self, is_backward: bool, position: Option<ListPosition>) -> ListCursor {
        let mut cursor = ListCursor { check: [0; CHECK_BYTES], is_backward, position };
        cursor.check = self.check(&cursor);
        cursor
    }

    /// Returns whether a cursor belongs to this list, with these filters, and is unchanged.
    pub(super) fn accepts(&self, cursor: &ListCursor) -> bool {
        // Also the type of the position, because the check is not a secret: anybody could compute it.
        let is_of_order = match cursor.position.as_ref().map(|position| &position.key) {
            None => true,
            Some(PositionKey::Time(_)) => self.order() != Order::Match,
            Some(PositionKey::Text(_)) => self.order() == Order::Match,
        };
        is_of_order && cursor.check == self.check(cursor)
    }

    /// Returns the first bytes of a hash of the list, the filters, and the rest of the cursor. It is against mistakes: a
    /// position means nothing in another list. No power depends on it.
    fn check(&self, cursor: &ListCursor) -> [u8; CHECK_BYTES] {
        let prefix = self.prefix.as_ref().map(|(prefix, _)| prefix);
        let filters = json!([self.list, prefix, self.role, self.deleted, self.validated]);
        let mut context = Context::new(&SHA256);
        context.update(filters.to_string().as_bytes());
        context.update(&cursor.body());
        let mut check = [0; CHECK_BYTES];
        context.finish().as_ref().iter().zip(&mut check).for_each(|(from, to)| *to = *from);
        check
    }
}
