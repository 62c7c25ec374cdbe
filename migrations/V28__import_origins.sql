-- Where users were imported from, and what the last import wrote: with it, another import of the same source brings what changed
-- there meanwhile, and tells that from what changed here.
CREATE TABLE authy.import_origin (
    source          text COLLATE "C" NOT NULL,
    -- The user's ID in the source.
    source_id       text COLLATE "C" NOT NULL,
    user_id         uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    -- Digests of the user in the source: of everything, of the password hash, of the address. NULL when the user was erased.
    digest          bytea,
    password_digest bytea,
    email_digest    bytea,
    -- What the import wrote: when it set the password (password.changed), the digest of the key of the address, whether the user
    -- was deleted, and the roles.
    password_set    timestamptz,
    email_written   bytea,
    deleted         boolean NOT NULL,
    roles           integer[] NOT NULL,
    PRIMARY KEY (source, source_id)
);
CREATE INDEX import_origin_by_user ON authy.import_origin (user_id);
