-- An address belongs to the account that confirmed it, and to no other: before, any number of accounts may name it. The index
-- serves both, who looks for an address and the uniqueness. Where there are users already, the program has built it without
-- keeping anybody from writing.
CREATE UNIQUE INDEX IF NOT EXISTS users_email_owner ON authy.users
    (email_key, (CASE WHEN validated_at IS NULL THEN public_id ELSE '00000000-0000-0000-0000-000000000000' END));

-- Takes no time, but waits for whoever uses the table, and everybody else would wait behind it.
SET LOCAL lock_timeout = '10s';
ALTER TABLE authy.users DROP CONSTRAINT users_email_unique;

-- How many accounts want an address at present: counted before a mail goes to it.
CREATE INDEX code_by_email ON authy.code (email_key) WHERE purpose = 'email';
