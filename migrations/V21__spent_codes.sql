-- Codes that have confirmed the address that their user still has: who opens the link once more is told that it is done.
CREATE TABLE authy.spent_code (
    code_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('validate', 'email')),
    spent   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX spent_code_by_user ON authy.spent_code (user_id);
CREATE INDEX spent_code_by_age ON authy.spent_code (spent);
