-- What happened: the audit trail, and what leaves the house. A row is written by the transaction whose effect it tells of.
CREATE TABLE authy.event (
    event_id   uuid PRIMARY KEY,
    -- A reader that resumes at the oldest transaction still running when it last looked misses nobody who commits late.
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    happened   timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind       text NOT NULL,
    -- Who did it: an account, or nobody (a stranger or the operator; `origin` tells which).
    actor      uuid,
    origin     text NOT NULL CHECK (origin IN ('stranger', 'user', 'operator')),
    -- Whom it was done to.
    subject    uuid,
    session_id uuid,
    ip         inet,
    user_agent text,
    request_id text,
    detail     jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX event_by_xid ON authy.event (xid);
CREATE INDEX event_by_subject ON authy.event (subject, happened);
CREATE INDEX event_by_time ON authy.event (happened, event_id);
