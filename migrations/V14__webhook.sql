-- Since when a sink is told: who signed up before is not told of.
ALTER TABLE authy.event_cursor ADD COLUMN begun timestamptz NOT NULL DEFAULT clock_timestamp();

-- What the webhook was told of a user is shown with the user, so it is found by the user, and kept for ever.
CREATE INDEX delivery_of_user ON authy.delivery (subject, happened) WHERE sink = 'webhook';

-- Upkeep looks for what it may forget every minute: what is kept must not be in its way.
DROP INDEX authy.delivery_made;
CREATE INDEX delivery_made ON authy.delivery (changed) WHERE state = 'delivered' AND sink <> 'webhook';

-- What is stuck is few among what is kept.
CREATE INDEX delivery_not_made ON authy.delivery (happened, event_id) WHERE state <> 'delivered';
