-- What happened: the audit trail, and what leaves the house. A row is written by the transaction whose effect it tells of.
-- A partition a month, so that what is old goes by dropping a table.
CREATE TABLE authy.event (
    event_id   uuid NOT NULL,
    -- The transaction that wrote it: a reader that remembers a snapshot knows what it has not seen, whoever commits late.
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Whose transactions are counted: a dump restored into another cluster begins a new epoch.
    epoch      integer NOT NULL DEFAULT 1,
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
    detail     jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (event_id, happened)
) PARTITION BY RANGE (happened);
CREATE INDEX event_by_xid ON authy.event (epoch, xid);
CREATE INDEX event_by_subject ON authy.event (subject, happened, event_id);
CREATE INDEX event_by_actor ON authy.event (actor, happened, event_id) WHERE actor IS NOT NULL;
CREATE INDEX event_by_time ON authy.event (happened, event_id);

-- No event is refused because nobody has made its month.
CREATE TABLE authy.event_default PARTITION OF authy.event DEFAULT;

-- The months are those of UTC, whatever the time zone of whoever asks.
CREATE FUNCTION authy.event_month(moment timestamptz, ahead integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT (date_trunc('month', moment AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC'
$$;

-- Makes the partitions of this month and so many after it; how many it made. Events of a month that nobody had made in time
-- move to their place.
CREATE FUNCTION authy.make_event_partitions(ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month timestamptz := authy.event_month(now(), 0);
    past  timestamptz := authy.event_month((SELECT min(happened) FROM authy.event_default), 0);
    last  timestamptz := authy.event_month(now(), ahead);
    stray boolean := past IS NOT NULL;
    made  integer := 0;
    name  text;
BEGIN
    IF stray THEN
        ALTER TABLE authy.event DETACH PARTITION authy.event_default;
        ALTER TABLE authy.event_default RENAME TO event_stray;
        CREATE TABLE authy.event_default PARTITION OF authy.event DEFAULT;
        month := least(month, past);
    END IF;
    WHILE month <= last LOOP
        name := 'event_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass('authy.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE authy.%I PARTITION OF authy.event FOR VALUES FROM (%L) TO (%L)',
                           name, month, authy.event_month(month, 1));
            made := made + 1;
        END IF;
        month := authy.event_month(month, 1);
    END LOOP;
    IF stray THEN
        INSERT INTO authy.event SELECT * FROM authy.event_stray;
        DROP TABLE authy.event_stray;
    END IF;
    RETURN made;
END
$$;

-- Drops the partitions whose every event is older than so many seconds; how many it dropped.
CREATE FUNCTION authy.drop_event_partitions(retention double precision) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    oldest  text := 'event_' || to_char((now() - make_interval(secs => retention)) AT TIME ZONE 'UTC', 'YYYY_MM');
    dropped integer := 0;
    name    text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'authy.event'::regclass AND relname ~ '^event_\d{4,}_\d\d$'
          AND (length(relname), relname) < (length(oldest), oldest)
    LOOP
        EXECUTE format('DROP TABLE authy.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

SELECT authy.make_event_partitions(2);

-- Nobody rewrites history, not even the program: a row may only lose the person in it, and only whole months go.
CREATE FUNCTION authy.keep_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.ip IS NULL AND NEW.user_agent IS NULL
            AND to_jsonb(NEW) - '{ip,user_agent}'::text[] = to_jsonb(OLD) - '{ip,user_agent}'::text[]
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER event_is_kept BEFORE UPDATE OR DELETE ON authy.event
    FOR EACH ROW EXECUTE FUNCTION authy.keep_event();
CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON authy.event
    FOR EACH STATEMENT EXECUTE FUNCTION authy.keep_event();
