-- Nobody empties a month of the audit trail: PostgreSQL hands this kind of trigger down to no partition, so each is given its own.
-- To be called whenever partitions were made.
CREATE FUNCTION authy.keep_event_partitions() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'authy.event'::regclass
          AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = inhrelid AND tgname = 'events_are_kept')
    LOOP
        EXECUTE format('CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON authy.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION authy.keep_event()', name);
    END LOOP;
END
$$;
SELECT authy.keep_event_partitions();

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
