-- Password hashes for the program that authy has replaced, kept while the operator may want to start it again. Each is encrypted
-- with the master key, and belongs to one password: that of password.changed. It goes with the password.
SET LOCAL lock_timeout = '10s';
CREATE TABLE authy.fallback_hash (
    user_id      uuid PRIMARY KEY REFERENCES authy.password ON DELETE CASCADE,
    password_set timestamptz NOT NULL,
    sealed       bytea NOT NULL,
    created      timestamptz NOT NULL DEFAULT now()
);
