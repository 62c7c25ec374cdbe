-- What is void before it expires: a session, a user's tokens of older epochs, or what a key signed.
CREATE TABLE authy.revocation (
    revocation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Whoever follows reads again from the oldest transaction that was still running: nothing that commits late is missed.
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    session_id    uuid,
    user_id       uuid,
    ver           bigint,
    kid           text,
    -- When the last token it is about has expired.
    until         timestamptz NOT NULL,
    CHECK (num_nonnulls(session_id, user_id, kid) = 1 AND (user_id IS NULL) = (ver IS NULL))
);
CREATE INDEX revocation_by_xid ON authy.revocation (xid);
CREATE INDEX revocation_by_end ON authy.revocation (until);
