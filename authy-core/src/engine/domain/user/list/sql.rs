//! The statements of the lists of users.
//!
//! A list has an order that an index serves, and a page is a range of that index. A statement examines at most a number
//! of users in that order, the candidates, and returns those whom the filter selects. It stops when the page is full, so
//! that its cost depends neither on the number of users nor on the position of the page. The last candidate is returned
//! as well, selected or not: the next page continues behind it.
//!
//! A statement is planned with its parameters, so that a condition which excludes nobody (NULL) costs nothing.

use crate::engine::{
    domain::user::sql::{shown_users, user_columns},
    storage::statement::statements,
};

/// Whether a user is deleted or not, and has a confirmed address or not, by the parameters with these numbers.
macro_rules! has_state {
    ($deleted:literal, $validated:literal) => {
        concat!(
            "($",
            $deleted,
            " IS NULL OR (deleted_at IS NOT NULL) = $",
            $deleted,
            ")
             AND ($",
            $validated,
            " IS NULL OR (validated_at IS NOT NULL) = $",
            $validated,
            ")"
        )
    };
}

/// Whether a user has a role. A scalar, which is looked up for each candidate: an EXISTS could become a hash table of all
/// members.
macro_rules! has_role {
    ($role:literal) => {
        concat!(
            "($",
            $role,
            " IS NULL OR (
                 SELECT true FROM authy.user_role WHERE role_id = $",
            $role,
            " AND user_id = public_id) IS TRUE)"
        )
    };
}

/// Whether a name or an address begins with a prefix: a range of keys from the prefix to just before the next one.
macro_rules! begins {
    ($key:literal, $prefix:literal, $end:literal) => {
        concat!("(", $key, " >= $", $prefix, " AND ", $key, " < $", $end, ")")
    };
}

/// Whether the name is the first match of a user: the address does not match, or comes later.
macro_rules! name_is_first {
    ($prefix:literal, $end:literal) => {
        concat!("NOT (", begins!("email_key", $prefix, $end), " AND email_key < username_key)")
    };
}

/// A page of candidates: those who are selected, behind an offset, and the last candidate.
macro_rules! page {
    ($candidates:expr, $key:literal, $direction:literal, $budget:literal, $offset:literal, $limit:literal) => {
        shown_users!(
            concat!(user_columns!(), ", place, is_selected, is_last"),
            concat!(
                "SELECT ",
                user_columns!(),
                ", ",
                $key,
                " AS place, is_selected, number = $",
                $budget,
                " AS is_last
                 FROM (
                     SELECT *, row_number() OVER in_order AS number,
                            count(*) FILTER (WHERE is_selected) OVER in_order AS selected
                     FROM (",
                $candidates,
                ") AS candidates
                     WINDOW in_order AS (ORDER BY ",
                $key,
                $direction,
                ", public_id",
                $direction,
                "
                                         ROWS UNBOUNDED PRECEDING)
                 ) AS numbered
                 WHERE (is_selected AND selected > $",
                $offset,
                ") OR number = $",
                $budget,
                "
                 ORDER BY ",
                $key,
                $direction,
                ", public_id",
                $direction,
                " LIMIT $",
                $limit
            ),
            concat!("place", $direction, ", public_id", $direction)
        )
    };
}

/// Users by creation.
macro_rules! by_creation {
    ($after:literal, $direction:literal) => {
        page!(
            concat!(
                "SELECT ",
                user_columns!(),
                ", ",
                has_state!(3, 4),
                " AS is_selected
                 FROM authy.users
                 WHERE ($1 IS NULL OR (created, public_id) ",
                $after,
                " ($1, $2))
                   AND ($5 IS NULL OR deleted_at IS NOT NULL) AND ($6 IS NULL OR validated_at IS NULL)
                 ORDER BY created",
                $direction,
                ", public_id",
                $direction,
                " LIMIT $7"
            ),
            "created",
            $direction,
            7,
            8,
            9
        )
    };
}

/// The members of a role, by grant. Each is looked up when it is examined: OFFSET keeps the subquery, because a join would
/// be planned for all candidates.
macro_rules! by_grant {
    ($after:literal, $direction:literal) => {
        page!(
            concat!(
                "SELECT * FROM (
                     SELECT user_id, granted FROM authy.user_role
                     WHERE role_id = $5 AND ($1 IS NULL OR (granted, user_id) ",
                $after,
                " ($1, $2))
                     ORDER BY granted",
                $direction,
                ", user_id",
                $direction,
                " LIMIT $6
                 ) AS member
                 CROSS JOIN LATERAL (
                     SELECT ",
                user_columns!(),
                ", ",
                has_state!(3, 4),
                " AS is_selected
                     FROM authy.users WHERE public_id = user_id OFFSET 0
                 ) AS account"
            ),
            "granted",
            $direction,
            6,
            7,
            8
        )
    };
}

/// Names and addresses with a prefix, merged in alphabetical order. A user whose name and address both have it is a
/// candidate twice, and is selected at the first place.
macro_rules! by_match {
    ($after:literal, $direction:literal) => {
        page!(
            concat!(
                "SELECT * FROM (
                     (SELECT username_key AS key, ",
                user_columns!(),
                ",
                             ",
                has_state!(3, 4),
                " AND ",
                has_role!(5),
                " AND ",
                name_is_first!(6, 7),
                " AS is_selected
                      FROM authy.users
                      WHERE ",
                begins!("username_key", 6, 7),
                "
                        AND ($1 IS NULL OR (username_key, public_id) ",
                $after,
                " ($1, $2))
                      ORDER BY username_key",
                $direction,
                ", public_id",
                $direction,
                " LIMIT $8)
                     UNION ALL
                     (SELECT email_key, ",
                user_columns!(),
                ",
                             ",
                has_state!(3, 4),
                " AND ",
                has_role!(5),
                "
                             AND NOT (",
                begins!("username_key", 6, 7),
                " AND username_key <= email_key)
                      FROM authy.users
                      WHERE ",
                begins!("email_key", 6, 7),
                "
                        AND ($1 IS NULL OR (email_key, public_id) ",
                $after,
                " ($1, $2))
                      ORDER BY email_key",
                $direction,
                ", public_id",
                $direction,
                " LIMIT $8)
                 ) AS matching
                 ORDER BY key",
                $direction,
                ", public_id",
                $direction,
                " LIMIT $8"
            ),
            "key",
            $direction,
            8,
            9,
            10
        )
    };
}

/// All users whom a filter selects, with their position in its list. One part of the filter (parameter 6) selects few
/// users, and is evaluated first.
macro_rules! few {
    () => {
        concat!(
            "WITH few AS MATERIALIZED (
                 SELECT public_id FROM authy.users WHERE $6 = 'deleted' AND deleted_at IS NOT NULL
                 UNION ALL
                 SELECT public_id FROM authy.users WHERE $6 = 'unconfirmed' AND validated_at IS NULL
                 UNION ALL
                 SELECT user_id FROM authy.user_role WHERE $6 = 'role' AND role_id = $3
                 UNION ALL
                 SELECT public_id FROM authy.users
                 WHERE $6 = 'prefix' AND (",
            begins!("username_key", 4, 5),
            " OR ",
            begins!("email_key", 4, 5),
            ")
             ), selected AS MATERIALIZED (
                 SELECT ",
            user_columns!(),
            ",
                        CASE WHEN $4 IS NOT NULL THEN to_timestamp(0)
                             WHEN $3 IS NOT NULL THEN (SELECT granted FROM authy.user_role
                                                       WHERE role_id = $3 AND user_id = public_id)
                             ELSE created END AS time_place,
                        CASE WHEN $4 IS NULL THEN ''
                             WHEN ",
            begins!("username_key", 4, 5),
            " AND ",
            name_is_first!(4, 5),
            " THEN username_key
                             ELSE email_key END AS text_place
                 FROM few JOIN authy.users USING (public_id)
                 WHERE ",
            has_state!(1, 2),
            " AND ",
            has_role!(3),
            "
                   AND ($4 IS NULL OR ",
            begins!("username_key", 4, 5),
            " OR ",
            begins!("email_key", 4, 5),
            ")
             )"
        )
    };
}

statements! {
    /// A page of users in the order of their creation: of all users, of the deleted ones, or of those without a confirmed
    /// address.
    LIST(TIMESTAMPTZ, UUID, BOOL, BOOL, BOOL, BOOL, INT8, INT8, INT8) = by_creation!(">", "");

    /// The same, backward.
    LIST_BACKWARD(TIMESTAMPTZ, UUID, BOOL, BOOL, BOOL, BOOL, INT8, INT8, INT8) = by_creation!("<", " DESC");

    /// A page of the members of a role, in the order in which they were granted it.
    LIST_MEMBERS(TIMESTAMPTZ, UUID, BOOL, BOOL, INT4, INT8, INT8, INT8) = by_grant!(">", "");

    /// The same, backward.
    LIST_MEMBERS_BACKWARD(TIMESTAMPTZ, UUID, BOOL, BOOL, INT4, INT8, INT8, INT8) = by_grant!("<", " DESC");

    /// A page of the users whose name or address begins with a prefix, in alphabetical order.
    LIST_MATCHES(TEXT, UUID, BOOL, BOOL, INT4, TEXT, TEXT, INT8, INT8, INT8) = by_match!(">", "");

    /// The same, backward.
    LIST_MATCHES_BACKWARD(TEXT, UUID, BOOL, BOOL, INT4, TEXT, TEXT, INT8, INT8, INT8) = by_match!("<", " DESC");

    /// A page of the users whom a filter selects, when one part of it selects few: in the order of its list, or backward.
    LIST_FEW(BOOL, BOOL, INT4, TEXT, TEXT, TEXT, TIMESTAMPTZ, TEXT, UUID, BOOL, INT8, INT8) = shown_users!(
        concat!(user_columns!(), ", time_place, text_place"),
        concat!(
            few!(),
            "SELECT * FROM (
                 SELECT *, CASE WHEN $10 THEN -row_number() OVER in_order ELSE row_number() OVER in_order END AS rank
                 FROM selected WINDOW in_order AS (ORDER BY time_place, text_place, public_id)
             ) AS ranked
             WHERE $9 IS NULL
                OR CASE WHEN $10 THEN (time_place, text_place, public_id) < (coalesce($7, to_timestamp(0)), coalesce($8, ''), $9)
                                 ELSE (time_place, text_place, public_id) > (coalesce($7, to_timestamp(0)), coalesce($8, ''), $9)
                   END
             ORDER BY rank OFFSET $11 LIMIT $12"
        ),
        "rank"
    );

    /// The number of users whom a filter selects, when one part of it selects few.
    COUNT_FEW(BOOL, BOOL, INT4, TEXT, TEXT, TEXT) = concat!(few!(), "SELECT count(*) AS selected FROM selected");

    /// The number of candidates up to a limit, and of those who are selected: of all users, of the deleted ones, or of those
    /// without a confirmed address.
    COUNT(BOOL, BOOL, BOOL, BOOL, INT8) = concat!(
        "SELECT count(*) FILTER (WHERE is_selected) AS selected, count(*) AS examined
         FROM (
             SELECT ", has_state!(1, 2), " AS is_selected FROM authy.users
             WHERE ($3 IS NULL OR deleted_at IS NOT NULL) AND ($4 IS NULL OR validated_at IS NULL) LIMIT $5
         ) AS candidates"
    );

    /// The same, of the members of a role.
    COUNT_MEMBERS(BOOL, BOOL, INT4, INT8) = concat!(
        "SELECT count(*) FILTER (WHERE is_selected) AS selected, count(*) AS examined
         FROM (
             SELECT ($1 IS NULL AND $2 IS NULL)
                    OR (SELECT ", has_state!(1, 2), " FROM authy.users WHERE public_id = user_id) AS is_selected
             FROM authy.user_role WHERE role_id = $3 LIMIT $4
         ) AS candidates"
    );

    /// The same, of the users whose name or address begins with a prefix.
    COUNT_MATCHES(BOOL, BOOL, INT4, TEXT, TEXT, INT8) = concat!(
        "SELECT count(*) FILTER (WHERE is_selected) AS selected, count(*) AS examined
         FROM (
             (SELECT ", has_state!(1, 2), " AND ", has_role!(3), " AS is_selected
              FROM authy.users WHERE ", begins!("username_key", 4, 5), " LIMIT $6)
             UNION ALL
             (SELECT ", has_state!(1, 2), " AND ", has_role!(3), "
              FROM authy.users WHERE ", begins!("email_key", 4, 5), " AND NOT ", begins!("username_key", 4, 5), " LIMIT $6)
             LIMIT $6
         ) AS candidates"
    );

    /// The users whom a filter selects. Not executed: the planner estimates their number.
    SELECTED(BOOL, BOOL, TEXT, TEXT) = concat!(
        "SELECT FROM authy.users
         WHERE ", has_state!(1, 2), "
           AND ($3 IS NULL OR ", begins!("username_key", 3, 4), " OR ", begins!("email_key", 3, 4), ")"
    );

    /// The same, of the members of a role.
    SELECTED_MEMBERS(BOOL, BOOL, TEXT, TEXT, INT4) = concat!(
        "SELECT FROM authy.user_role JOIN authy.users ON public_id = user_id
         WHERE role_id = $5 AND ", has_state!(1, 2), "
           AND ($3 IS NULL OR ", begins!("username_key", 3, 4), " OR ", begins!("email_key", 3, 4), ")"
    );
}
