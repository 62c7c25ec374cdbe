-- One login and the chain of tokens that came from it.
CREATE TABLE authy.session (
    session_id uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    created    timestamptz NOT NULL DEFAULT now(),
    last_used  timestamptz NOT NULL DEFAULT now(),
    expires    timestamptz NOT NULL,
    ended_at   timestamptz,
    -- Which refresh token of the chain is the current one.
    generation bigint NOT NULL DEFAULT 0,
    ip         inet,
    user_agent text
)
-- Nothing that a refresh changes is in an index, and a page has room for the next version of its rows: a refresh touches no
-- index at all.
WITH (fillfactor = 80);
CREATE INDEX session_by_user ON authy.session (user_id);
CREATE INDEX session_by_expiry ON authy.session (expires);
CREATE INDEX session_by_end ON authy.session (ended_at) WHERE ended_at IS NOT NULL;
