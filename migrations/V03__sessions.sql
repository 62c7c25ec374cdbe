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
);
CREATE INDEX session_by_user ON authy.session (user_id) WHERE ended_at IS NULL;
