-- What the console shows of the service.
SET LOCAL lock_timeout = '10s';

-- When an operator dismissed a delivery that was given up: it is no longer listed. Set only where the row is kept because its status
-- is shown with the user; others are deleted.
ALTER TABLE authy.delivery ADD COLUMN dismissed timestamptz;

-- Takes no time, because where there are rows, the program has built the indexes without blocking writes.
-- The deliveries that failed and are repeated, and those that were given up, of each sink.
CREATE INDEX IF NOT EXISTS delivery_repeated ON authy.delivery (sink, happened, event_id) WHERE state = 'waiting' AND attempts > 0;
CREATE INDEX IF NOT EXISTS delivery_given_up ON authy.delivery (sink, happened, event_id) WHERE state = 'given_up';

-- The servers that run or have run in the last day. Each writes its own row twice a minute.
CREATE TABLE authy.instance (
    instance_id uuid PRIMARY KEY,
    -- The name of its host.
    host        text NOT NULL,
    version     text NOT NULL,
    started     timestamptz NOT NULL,
    -- When it last wrote this.
    seen        timestamptz NOT NULL DEFAULT now(),
    -- Whether it has ended as it should.
    stopped     boolean NOT NULL DEFAULT false,
    -- The age of the revocations that it knows, in seconds; NULL while it knows none.
    feed_age    double precision,
    -- How its logins ended in each of the last hours: an object for each hour, with the hour in seconds since 1970 and the numbers.
    logins      jsonb NOT NULL
);
