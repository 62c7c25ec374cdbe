-- Guesses at secrets: how many failed, counted by all instances together. The keys are MACs under a key that is not in the
-- database: no name and no address is in this table, and a name that nobody has looks like any other.
CREATE TABLE authy.throttle (
    key       text COLLATE "C" PRIMARY KEY,
    -- Every attempt is a failure until it has succeeded.
    failures  integer NOT NULL,
    -- How many of them are under way, about: whoever would be refused because of those waits for them.
    pending   integer NOT NULL DEFAULT 0,
    -- How many were refused unseen, for whoever looks.
    refused   bigint NOT NULL DEFAULT 0,
    -- When a failure was last counted.
    counted   timestamptz NOT NULL,
    -- From when on it is as if there had never been a failure.
    forgotten timestamptz NOT NULL
);
CREATE INDEX throttle_by_end ON authy.throttle (forgotten);
