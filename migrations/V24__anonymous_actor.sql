-- An actor without a token is called anonymous. `stranger` is what older programs write, which may still be running.

ALTER TABLE authy.event DROP CONSTRAINT event_origin_check;
ALTER TABLE authy.event ADD CONSTRAINT event_origin_check
    CHECK (origin IN ('anonymous', 'user', 'operator', 'stranger')) NOT VALID;
