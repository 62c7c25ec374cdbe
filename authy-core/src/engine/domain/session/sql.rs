//! The statements of sessions.

use crate::engine::storage::statement::statements;

statements! {
    /// Opens a session for a user whose epoch is still that of the verified password, writes the event, deletes the
    /// failed guesses, and returns the claims. A single statement: a login holds no lock while it waits.
    ///
    /// A device is new when it sent no token of an earlier login, except at the user's first login. Its address and
    /// user agent make no difference, because an attacker can copy or share them.
    ///
    /// A change of password, roles or user changes the epoch, so the returned values are consistent.
    ///
    /// `live` is the number of live sessions before, counted up to the given maximum.
    OPEN(UUID, INT8, UUID, FLOAT8, FLOAT8, INET, TEXT, UUID, TEXT, UUID, TEXT, TEXT, TEXT, BOOL, INT8) =
        "WITH noted AS (
             UPDATE authy.users SET last_login = now()
             FROM (SELECT array_agg(name ORDER BY role.level) AS roles, min(role.level) AS level
                   FROM authy.user_role JOIN authy.role USING (role_id) WHERE user_id = $1) AS granted,
                  (SELECT NOT $14 AND last_login IS NOT NULL AS is_new FROM authy.users WHERE public_id = $1) AS device
             WHERE public_id = $1 AND ver = $2 AND deleted_at IS NULL AND granted.level IS NOT NULL
             RETURNING public_id, username, ver, roles, level, is_new
         ), opened AS (
             INSERT INTO authy.session (session_id, user_id, expires, access_until, ip, user_agent)
             SELECT $3, public_id, now() + make_interval(secs => $4), now() + make_interval(secs => $5), $6, $7
             FROM noted
         ), cleared AS (
             DELETE FROM authy.throttle WHERE key = $13 AND EXISTS (SELECT FROM noted)
         ), event AS (
             INSERT INTO authy.event
                 (event_id, kind, actor, origin, subject, session_id, ip, user_agent, request_id, detail)
             SELECT $8, $9, $10, $11, public_id, $3, $6, $7, $12,
                    jsonb_strip_nulls(jsonb_build_object('level', level, 'new_device', nullif(is_new, false)))
             FROM noted
         )
         SELECT public_id, username, ver, roles, level,
                (SELECT count(*) FROM (
                     SELECT FROM authy.session WHERE user_id = $1 AND ended_at IS NULL AND expires > now() AND NOT issued
                     LIMIT $15
                 ) AS counted) AS live
         FROM noted";

    /// Opens a session for a user without a login, writes the event, and returns the claims. The session ends with its
    /// only access token.
    ///
    /// The user is locked first, as by all code that ends sessions. Name and roles are read as of the start of the
    /// statement: when the user has changed since, nothing is done.
    ISSUE(UUID, UUID, FLOAT8, INET, TEXT, UUID, TEXT, UUID, TEXT, TEXT) =
        "WITH owner AS (
             SELECT public_id, ver FROM authy.users WHERE public_id = $1 AND deleted_at IS NULL FOR KEY SHARE
         ), opened AS (
             INSERT INTO authy.session (session_id, user_id, expires, access_until, ip, user_agent, issued)
             SELECT $2, public_id, now() + make_interval(secs => $3), now() + make_interval(secs => $3), $4, $5, true
             FROM owner JOIN authy.users USING (public_id, ver)
             WHERE EXISTS (SELECT FROM authy.user_role WHERE user_id = public_id)
             RETURNING user_id
         ), account AS (
             SELECT public_id, username, ver,
                 ARRAY(SELECT name FROM authy.user_role JOIN authy.role USING (role_id)
                       WHERE user_role.user_id = public_id ORDER BY role.level) AS roles,
                 (SELECT min(role.level) FROM authy.user_role JOIN authy.role USING (role_id)
                  WHERE user_role.user_id = public_id) AS level
             FROM opened JOIN authy.users ON public_id = opened.user_id
         ), event AS (
             INSERT INTO authy.event
                 (event_id, kind, actor, origin, subject, session_id, ip, user_agent, request_id, detail)
             SELECT $6, $7, $8, $9, public_id, $2, $4, $5, $10, jsonb_build_object('level', level) FROM account
         )
         SELECT public_id, username, ver, roles, level FROM account";

    /// Exchanges a refresh token for the next one, writes the event, and returns the claims. Of several concurrent
    /// attempts only one succeeds, and only in a live session.
    ///
    /// The user is not locked, so that a refresh writes only the session and the event. Name, epoch and roles are read
    /// as of the start of the statement: when they change meanwhile, the returned epoch is already revoked, for as long
    /// as a token issued now can be valid.
    ROTATE(UUID, INT8, FLOAT8, FLOAT8, UUID, TEXT, UUID, TEXT, INET, TEXT, TEXT) =
        "WITH rotated AS (
             UPDATE authy.session
             SET generation = generation + 1, rotated = now(), last_used = now(),
                 access_until = greatest(access_until, now() + make_interval(secs => $4))
             FROM authy.users, LATERAL (
                 SELECT array_agg(name ORDER BY role.level) AS roles, min(role.level) AS level
                 FROM authy.user_role JOIN authy.role USING (role_id) WHERE user_role.user_id = public_id
             ) AS granted
             WHERE session_id = $1 AND session.user_id = public_id AND deleted_at IS NULL AND granted.level IS NOT NULL
               AND generation = $2 AND ended_at IS NULL
               AND expires > now() AND last_used > now() - make_interval(secs => $3)
             RETURNING public_id, username, ver, extract(epoch FROM expires - now())::float8 AS remaining, roles, level
         ), event AS (
             INSERT INTO authy.event
                 (event_id, kind, actor, origin, subject, session_id, ip, user_agent, request_id, detail)
             SELECT $5, $6, $7, $8, public_id, $1, $9, $10, $11, jsonb_build_object('generation', $2 + 1) FROM rotated
         )
         SELECT public_id, username, ver, remaining, roles, level FROM rotated";

    /// A session's user, protected from changes until the transaction ends.
    SHARE_USER(UUID) =
        "SELECT public_id, username, ver FROM authy.session JOIN authy.users ON public_id = user_id
         WHERE session_id = $1 AND deleted_at IS NULL FOR KEY SHARE OF users";

    /// The state of a session whose token was not the current one, locked until the transaction ends. The grace period
    /// is measured by the clock, because the transaction may have started before the exchange that it waited for.
    LOCK(UUID, FLOAT8, FLOAT8) =
        "SELECT user_id, generation, extract(epoch FROM expires - now())::float8 AS remaining,
                ended_at IS NULL AND expires > now() AND last_used > now() - make_interval(secs => $2) AS live,
                coalesce(rotated > clock_timestamp() - make_interval(secs => $3), false) AS just_rotated
         FROM authy.session WHERE session_id = $1 FOR UPDATE";

    /// Extends a session, because another access token of the same generation was issued.
    PROLONG(UUID, FLOAT8) =
        "UPDATE authy.session SET access_until = greatest(access_until, now() + make_interval(secs => $2))
         WHERE session_id = $1";

    /// The epoch of a live session's user, unless the signing key is retired.
    FIND_EPOCH(UUID, UUID, TEXT) =
        "SELECT ver FROM authy.session JOIN authy.users ON public_id = user_id
         WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL AND deleted_at IS NULL
           AND EXISTS (SELECT 1 FROM authy.signing_key WHERE kid = $3 AND state <> 'retired')";

    /// The user of a token of an earlier system, whether the token has a session already, and the claims. Nothing when the
    /// user was revoked in any way (begins another epoch), or the session has ended.
    FIND_LEGACY(UUID, UUID) =
        "SELECT public_id, username, ver, session_id IS NOT NULL AS is_open, granted.roles, granted.level
         FROM authy.users LEFT JOIN authy.session ON session_id = $1 AND user_id = public_id,
              LATERAL (SELECT array_agg(name ORDER BY role.level) AS roles, min(role.level) AS level
                       FROM authy.user_role JOIN authy.role USING (role_id) WHERE user_role.user_id = public_id) AS granted
         WHERE public_id = $2 AND deleted_at IS NULL AND ver = coalesce(legacy_ver, 1) AND granted.level IS NOT NULL AND ended_at IS NULL";

    /// Opens the session of a token of an earlier system, and writes the event. Nothing when the user was revoked in any
    /// way: the token may be older than the end of any session, because its time of issue is not known. The trail is
    /// searched, because sessions are forgotten a day after their end.
    ///
    /// The user is locked first, as by all code that ends sessions.
    OPEN_LEGACY(UUID, UUID, TIMESTAMPTZ, UUID, TEXT, UUID, TEXT) =
        "WITH owner AS (
             SELECT public_id FROM authy.users
             WHERE public_id = $2 AND deleted_at IS NULL AND ver = coalesce(legacy_ver, 1) FOR KEY SHARE
         ), opened AS (
             INSERT INTO authy.session (session_id, user_id, expires, access_until, issued)
             SELECT $1, public_id, $3, $3, true FROM owner
             WHERE NOT EXISTS (SELECT FROM authy.event
                               WHERE subject = $2 AND kind IN ('session.ended', 'sessions.ended', 'session.replayed'))
             ON CONFLICT DO NOTHING
             RETURNING user_id
         ), event AS (
             INSERT INTO authy.event (event_id, kind, actor, origin, subject, session_id, detail)
             SELECT $4, $5, $6, $7, user_id, $1, jsonb_build_object('legacy', true, 'level', (
                 SELECT min(role.level) FROM authy.user_role JOIN authy.role USING (role_id)
                 WHERE user_role.user_id = opened.user_id))
             FROM opened
         )
         SELECT user_id FROM opened";

    /// A user's sessions, most recently used first. All of them: their number is limited, except for those that were
    /// opened without a login.
    LIST(UUID, FLOAT8) =
        "SELECT session_id, created, last_used,
                least(expires, last_used + make_interval(secs => $2)) AS expires, host(ip) AS ip, user_agent
         FROM authy.session
         WHERE user_id = $1 AND ended_at IS NULL AND expires > now()
           AND last_used > now() - make_interval(secs => $2)
         ORDER BY last_used DESC, session_id LIMIT 200";

    /// How many of the first sessions that have not expired, up to a number, are live, and how many those are.
    COUNT_LIVE(FLOAT8, INT8) =
        "SELECT count(*) FILTER (WHERE ended_at IS NULL AND NOT issued AND last_used > now() - make_interval(secs => $1)) AS live,
                count(*) AS examined
         FROM (SELECT ended_at, issued, last_used FROM authy.session WHERE expires > now() LIMIT $2) AS first";

    /// Ends the live sessions of a user except a number of the most recently used ones. Sessions that were opened
    /// without a login end within minutes anyway.
    END_OLDEST(UUID, INT8) =
        "UPDATE authy.session SET ended_at = now()
         WHERE session_id IN (
             SELECT session_id FROM authy.session
             WHERE user_id = $1 AND ended_at IS NULL AND expires > now() AND NOT issued
             ORDER BY last_used DESC, created DESC, session_id OFFSET $2)
         RETURNING session_id";

    /// Whether a session has ended.
    HAS_ENDED(UUID) = "SELECT ended_at IS NOT NULL AS has_ended FROM authy.session WHERE session_id = $1";

    /// The user of a session that has not ended.
    FIND_USER(UUID) = "SELECT user_id FROM authy.session WHERE session_id = $1 AND ended_at IS NULL";

    /// Ends a session of a user.
    END(UUID, UUID) =
        "UPDATE authy.session SET ended_at = now()
         WHERE session_id = $1 AND user_id = $2 AND ended_at IS NULL RETURNING session_id";

    /// Deletes sessions that ended at least one day ago, all of whose tokens have expired: at most a number of those that
    /// were ended, and of those that expired.
    FORGET(INT8) =
        "DELETE FROM authy.session WHERE session_id IN (
             (SELECT session_id FROM authy.session
              WHERE ended_at < now() - interval '1 day' AND access_until < now() - interval '1 day'
              ORDER BY ended_at LIMIT $1)
             UNION ALL
             (SELECT session_id FROM authy.session
              WHERE expires < now() - interval '1 day' AND access_until < now() - interval '1 day'
              ORDER BY expires LIMIT $1))";
}
