-- What an export is about to write into the database of the first authy, committed before it is written there. When the export is
-- killed after the commit there and before that here, the next one tells by this what it wrote itself from what was changed there.
-- The columns are those of authy.import_origin, which is written in the transaction that deletes these rows.
SET LOCAL lock_timeout = '10s';
CREATE TABLE authy.export_intent (
    source          text COLLATE "C" NOT NULL,
    user_id         uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    password_digest bytea,
    email_digest    bytea,
    password_set    timestamptz,
    email_written   bytea,
    deleted         boolean NOT NULL,
    roles           integer[] NOT NULL,
    PRIMARY KEY (user_id, source)
);
