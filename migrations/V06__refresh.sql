-- Refreshing a session: when its token was last exchanged, and until when any of its access tokens lives.
ALTER TABLE authy.session
    ADD COLUMN rotated timestamptz,
    ADD COLUMN access_until timestamptz NOT NULL DEFAULT now();

-- A user's tokens may outlive the session that they came from, so ended ones count too.
CREATE INDEX session_by_access ON authy.session (user_id, access_until);
