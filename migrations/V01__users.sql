-- Users. The *_key columns hold the normalized form, made by the program, and carry the uniqueness; they compare byte by
-- byte, whatever the collation of the database. A deleted user keeps the row, so name and email stay taken.
CREATE TABLE authy.users (
    public_id    uuid PRIMARY KEY,
    username     text NOT NULL,
    username_key text COLLATE "C" NOT NULL CONSTRAINT users_username_unique UNIQUE,
    email        text NOT NULL,
    email_key    text COLLATE "C" NOT NULL CONSTRAINT users_email_unique UNIQUE,
    created      timestamptz NOT NULL DEFAULT now(),
    last_login   timestamptz,
    validated_at timestamptz,
    deleted_at   timestamptz,
    -- The epoch: what changes here makes every older access token void.
    ver          bigint NOT NULL DEFAULT 1
);
CREATE INDEX users_by_creation ON authy.users (created, public_id);

-- Apart from the users, so that no listing of users ever reads it.
CREATE TABLE authy.password (
    user_id uuid PRIMARY KEY REFERENCES authy.users ON DELETE CASCADE,
    phc     text NOT NULL,
    changed timestamptz NOT NULL DEFAULT now()
);
