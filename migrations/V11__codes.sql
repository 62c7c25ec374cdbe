-- One-time codes: what a mail carries. A code is computed, a MAC over the id of its row, so nothing in here opens anything.
CREATE TABLE authy.code (
    code_id   uuid PRIMARY KEY,
    -- Nobody's when a reset was asked for an address that nobody has: the work is the same, whoever is asked about.
    user_id   uuid,
    purpose   text NOT NULL CHECK (purpose IN ('validate', 'email', 'reset')),
    -- The address that it goes to and so confirms; none when it was handed to an operator.
    email     text,
    email_key text COLLATE "C",
    created   timestamptz NOT NULL DEFAULT now(),
    expires   timestamptz NOT NULL
);
CREATE INDEX code_by_user ON authy.code (user_id, purpose);
CREATE INDEX code_by_expiry ON authy.code (expires);
