//! The statements of notifications.

use crate::engine::storage::statement::statements;

statements! {
    /// The recipient of a code, whether the address is confirmed, and whether the user has a password. Returns no row when the code is no longer valid,
    /// when another account has confirmed the address, or when the event exceeds the limit per clock hour for events of
    /// these kinds on all accounts with the address. The count starts again with each hour, so that continuous requests
    /// cannot suppress the first mails of the next hour.
    ///
    /// `OFFSET 0`, the counts by user and `IS TRUE`, which no index serves, leave the planner no choice but the indexes of users and of
    /// subjects. Before the tables have been analyzed, as every month's events have not been at first, it would read all users, and
    /// all events of the hour.
    FIND_WITH_CODE(UUID, TEXT, UUID, TEXT_ARRAY, INT8) =
        "SELECT username, code.email, code.expires,
                users.email_key = code.email_key AND validated_at IS NOT NULL AS validated,
                EXISTS (SELECT FROM authy.password WHERE password.user_id = public_id) AS has_password
         FROM authy.code
         CROSS JOIN LATERAL (
             SELECT public_id, username, email_key, validated_at FROM authy.users
             WHERE public_id = code.user_id AND deleted_at IS NULL OFFSET 0
         ) AS users
         WHERE code_id = $1 AND purpose = $2 AND code.email IS NOT NULL AND code.expires > now()
           AND ($2 = 'email' OR NOT EXISTS (SELECT FROM authy.users AS other
                           WHERE other.email_key = code.email_key AND other.public_id <> user_id
                             AND other.validated_at IS NOT NULL))
           AND ($2 <> 'email'
                OR (SELECT count(*) FROM authy.code AS wanted
                    WHERE wanted.email_key = code.email_key AND wanted.purpose = 'email' AND wanted.created < code.created
                      AND wanted.created > code.created - interval '1 hour') < 10)
           AND ($2 <> 'reset' OR EXISTS (SELECT FROM authy.password WHERE password.user_id = public_id)
                OR (SELECT coalesce(sum(mailed), 0)
                    FROM authy.users AS invited CROSS JOIN LATERAL (
                        SELECT count(*) AS mailed FROM authy.event
                        WHERE subject = invited.public_id AND kind = 'reset.requested' AND event_id <> $3
                          AND happened >= date_trunc('hour', code.created) AND (happened < code.created) IS TRUE
                    ) AS events
                    WHERE invited.email_key = code.email_key) < 10)
           AND ($5 IS NULL
                OR (SELECT coalesce(sum(mailed), 0)
                    FROM authy.users AS claimant CROSS JOIN LATERAL (
                        SELECT count(*) AS mailed FROM authy.event
                        WHERE subject = claimant.public_id AND kind = ANY ($4) AND event_id <> $3
                          AND (actor IS NULL OR actor = claimant.public_id)
                          AND happened >= date_trunc('hour', code.created) AND (happened < code.created) IS TRUE
                    ) AS events
                    WHERE claimant.email_key = code.email_key) < $5)";

    /// Compares a login from a new device with the earlier ones of the same day (UTC): whether one of them had the same
    /// user agent and the same network (an IPv4 /24, an IPv6 /48), and how many different ones there were.
    ///
    /// The time has a precision of one second, which is enough to find the partition.
    COMPARE_NEW_DEVICE(UUID, UUID, TIMESTAMPTZ) =
        "WITH login AS (
             SELECT event_id, happened, network(set_masklen(ip, CASE family(ip) WHEN 4 THEN 24 ELSE 48 END)) AS net,
                    user_agent
             FROM authy.event
             WHERE subject = $1 AND kind = 'session.opened' AND detail -> 'new_device' = 'true'
               AND happened >= date_trunc('day', $3 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
               AND happened < $3 + interval '1 second'
         ), this AS (
             SELECT * FROM login WHERE event_id = $2
         ), before AS (
             SELECT login.net, login.user_agent
             FROM login JOIN this ON (login.happened, login.event_id) < (this.happened, this.event_id)
             GROUP BY login.net, login.user_agent
         )
         SELECT count(*) AS others,
                coalesce(bool_or(before.net IS NOT DISTINCT FROM this.net
                                 AND before.user_agent IS NOT DISTINCT FROM this.user_agent), false) AS is_repeated
         FROM before, this";

    /// Counts a notice to the owner of an address, unless the maximum within one day is reached; once per event.
    /// Deletes older counts.
    COUNT_NOTICE(UUID, UUID, INT8) =
        "WITH forgotten AS (
             DELETE FROM authy.address_notice WHERE created < now() - interval '1 day'
         ), made AS (
             INSERT INTO authy.address_notice (event_id, user_id)
             SELECT $1, $2
             WHERE (SELECT count(*) FROM authy.address_notice
                    WHERE user_id = $2 AND event_id <> $1 AND created >= now() - interval '1 day') < $3
             ON CONFLICT DO NOTHING RETURNING 1
         )
         SELECT 1 FROM made UNION SELECT 1 FROM authy.address_notice WHERE event_id = $1";
}
