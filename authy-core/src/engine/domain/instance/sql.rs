//! The statements of instances.

use crate::engine::storage::statement::statements;

statements! {
    /// Stores what an instance says about itself, and forgets those that were last seen a number of seconds ago.
    REPORT(UUID, TEXT, TEXT, TIMESTAMPTZ, FLOAT8, JSONB, FLOAT8) =
        "WITH forgotten AS (
             DELETE FROM authy.instance WHERE seen < now() - make_interval(secs => $7) AND instance_id <> $1
         )
         INSERT INTO authy.instance AS known (instance_id, host, version, started, feed_age, logins)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (instance_id)
         DO UPDATE SET seen = now(), stopped = false, feed_age = excluded.feed_age, logins = excluded.logins";

    /// Stores what an instance says last: it ends as it should.
    STOP(UUID, JSONB) =
        "UPDATE authy.instance SET seen = now(), stopped = true, logins = $2 WHERE instance_id = $1";

    /// The instances that were seen in a number of seconds, and how many seconds ago.
    LIST(FLOAT8) =
        "SELECT instance_id, host, version, started, seen, stopped, feed_age, logins,
                extract(epoch FROM now() - seen)::float8 AS unseen
         FROM authy.instance WHERE seen > now() - make_interval(secs => $1) ORDER BY host, started, instance_id";
}
