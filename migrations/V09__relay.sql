-- What leaves the house, and how far each sink was told.

-- The cluster that transactions are counted in, and the epoch that began with it.
CREATE TABLE authy.event_epoch (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch     integer NOT NULL,
    cluster   bigint NOT NULL
);
INSERT INTO authy.event_epoch (epoch, cluster) SELECT 1, system_identifier FROM pg_control_system();

-- Begins a new epoch when the database has moved into another cluster, whose transactions are counted from elsewhere. Whoever
-- writes an event waits for that, so that no event of the old epoch comes after it.
CREATE FUNCTION authy.begin_event_epoch() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    here bigint := (SELECT system_identifier FROM pg_control_system());
    now_ integer;
BEGIN
    LOCK TABLE authy.event IN ACCESS EXCLUSIVE MODE;
    UPDATE authy.event_epoch SET epoch = epoch + 1, cluster = here WHERE cluster <> here RETURNING epoch INTO now_;
    IF now_ IS NOT NULL THEN
        EXECUTE format('ALTER TABLE authy.event ALTER COLUMN epoch SET DEFAULT %s', now_);
    END IF;
    RETURN (SELECT epoch FROM authy.event_epoch);
END
$$;

CREATE TABLE authy.event_cursor (
    sink      text PRIMARY KEY,
    epoch     integer NOT NULL,
    -- Every event of the epoch that is visible in this snapshot was handed over, or has a row in `delivery`.
    seen      pg_snapshot NOT NULL,
    -- The pass that is under way: what is visible in this snapshot and not in the other is handed over in the order in which it
    -- happened, and was as far as this.
    pass      pg_snapshot,
    happened  timestamptz NOT NULL DEFAULT '-infinity',
    event_id  uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- When the snapshot `seen` was taken, by the clock.
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Counts the moves: who still moves it after another has taken over is too late.
    turn      bigint NOT NULL DEFAULT 0
);

-- Events on their way to sinks that are told one by one.
CREATE TABLE authy.delivery (
    sink         text NOT NULL,
    event_id     uuid NOT NULL,
    happened     timestamptz NOT NULL,
    -- Whom the order is kept for.
    subject      uuid,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts     integer NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    changed      timestamptz NOT NULL DEFAULT now(),
    -- Why the last attempt failed.
    error        text,
    PRIMARY KEY (sink, event_id)
);
CREATE INDEX delivery_due ON authy.delivery (sink, next_attempt) WHERE state = 'waiting';
CREATE INDEX delivery_in_order ON authy.delivery (sink, subject, happened, event_id) WHERE state = 'waiting';
CREATE INDEX delivery_made ON authy.delivery (changed) WHERE state = 'delivered';
