-- Refreshing a session: when its token was last exchanged, and until when any of its access tokens lives.
ALTER TABLE authy.session
    ADD COLUMN rotated timestamptz,
    ADD COLUMN access_until timestamptz NOT NULL DEFAULT now();
