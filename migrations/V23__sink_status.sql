-- A sink declares whether the state of its deliveries is shown with the users. The schema contains no name of a sink.

ALTER TABLE authy.event_cursor ADD COLUMN shows_status boolean NOT NULL DEFAULT false;
UPDATE authy.event_cursor SET shows_status = true WHERE sink = 'webhook';

-- Copied to each delivery, so that the index contains only the deliveries whose state is shown.
ALTER TABLE authy.delivery ADD COLUMN shows_status boolean NOT NULL DEFAULT false;
UPDATE authy.delivery SET shows_status = true WHERE sink = 'webhook';

CREATE INDEX delivery_shown ON authy.delivery (subject, happened) WHERE shows_status;
DROP INDEX authy.delivery_of_user;

DROP INDEX authy.delivery_made;
CREATE INDEX delivery_made ON authy.delivery (changed) WHERE state = 'delivered' AND NOT shows_status;
