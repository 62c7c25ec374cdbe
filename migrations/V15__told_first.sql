-- A session that was opened without a login: its user has not shown the password, however young it is.
ALTER TABLE authy.session ADD COLUMN issued boolean NOT NULL DEFAULT false;

-- Why a sink that is told everything as one stream takes nothing at present.
ALTER TABLE authy.event_cursor ADD COLUMN error text;

-- Nobody empties a month of the audit trail: PostgreSQL hands this kind of trigger down to no partition.
CREATE FUNCTION authy.keep_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON authy.%I
                    FOR EACH STATEMENT EXECUTE FUNCTION authy.keep_event()', name);
END
$$;
SELECT authy.keep_partition(relname)
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'authy.event'::regclass;

-- Makes the partitions of this month and so many after it; how many it made. Events of a month that nobody had made in time
-- move to their place.
CREATE OR REPLACE FUNCTION authy.make_event_partitions(ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
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
        PERFORM authy.keep_partition('event_default');
        month := least(month, past);
    END IF;
    WHILE month <= last LOOP
        name := 'event_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass('authy.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE authy.%I PARTITION OF authy.event FOR VALUES FROM (%L) TO (%L)',
                           name, month, authy.event_month(month, 1));
            PERFORM authy.keep_partition(name);
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

-- Drops the partitions whose every event is older than so many seconds; how many it dropped, and how many it had to keep because
-- one of these sinks (all, when none is named) has not been told everything in them. The deliveries to other sinks are given up:
-- there is nothing to hand over any more.
DROP FUNCTION authy.drop_event_partitions(double precision);
CREATE FUNCTION authy.drop_event_partitions(
    retention double precision, sinks text[], OUT dropped integer, OUT kept integer
) LANGUAGE plpgsql AS $$
DECLARE
    oldest text := 'event_' || to_char((now() - make_interval(secs => retention)) AT TIME ZONE 'UTC', 'YYYY_MM');
    name   text;
    month  timestamptz;
    untold boolean;
BEGIN
    dropped := 0;
    kept := 0;
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'authy.event'::regclass AND relname ~ '^event_\d{4,}_\d\d$'
          AND (length(relname), relname) < (length(oldest), oldest)
    LOOP
        month := to_date(substr(name, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC';
        EXECUTE format(
            'SELECT EXISTS (
                 SELECT FROM authy.event_cursor c JOIN authy.%I e ON e.epoch >= c.epoch
                 WHERE ($1 IS NULL OR c.sink = ANY ($1))
                   AND (e.epoch > c.epoch
                        OR e.xid >= pg_snapshot_xmin(c.seen) AND NOT pg_visible_in_snapshot(e.xid, c.seen)))
             OR EXISTS (
                 SELECT FROM authy.delivery d
                 WHERE ($1 IS NULL OR d.sink = ANY ($1)) AND d.state = ''waiting'' AND d.happened >= $2 AND d.happened < $3)',
            name) INTO untold USING sinks, month, authy.event_month(month, 1);
        IF untold THEN
            kept := kept + 1;
        ELSE
            EXECUTE format('DROP TABLE authy.%I', name);
            UPDATE authy.delivery d SET state = 'given_up', error = 'the event is not kept any more', changed = now()
            WHERE d.state = 'waiting' AND d.happened >= month AND d.happened < authy.event_month(month, 1);
            dropped := dropped + 1;
        END IF;
    END LOOP;
END
$$;
