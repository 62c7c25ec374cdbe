-- Takes no time, because the indexes exist where there are rows, but waits for those who write.
SET LOCAL lock_timeout = '10s';

-- The events of a kind, for the audit trail. Not those of the two most frequent kinds: a page of them is found along the time index
-- at once, and a login or a refresh would pay for another index. Where there are events already, the program has built the index of
-- each partition without blocking writes, and this adopts them.
CREATE INDEX IF NOT EXISTS event_by_kind ON authy.event (kind, happened, event_id)
    WHERE kind <> 'session.opened' AND kind <> 'session.refreshed';

-- The deliveries about a user that failed, whose error messages are erased with the user.
CREATE INDEX IF NOT EXISTS delivery_failed ON authy.delivery (subject) WHERE error IS NOT NULL AND state <> 'delivered';
