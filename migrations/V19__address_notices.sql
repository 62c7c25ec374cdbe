-- The notices that owners of an address were sent because another account asked for it: counted, so that nobody can fill a
-- mailbox. Rows are deleted after a day.
CREATE TABLE authy.address_notice (
    event_id uuid PRIMARY KEY,
    user_id  uuid NOT NULL,
    created  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX address_notice_user ON authy.address_notice (user_id, created);
