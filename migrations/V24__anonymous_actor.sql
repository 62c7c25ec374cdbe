-- An actor without a token is called anonymous. Programs of older versions, which may still be running, write `stranger`.

ALTER TABLE authy.event DROP CONSTRAINT event_origin_check;
ALTER TABLE authy.event ADD CONSTRAINT event_origin_check
    CHECK (origin IN ('anonymous', 'user', 'operator', 'stranger')) NOT VALID;
