-- Names that an import brought and today's rules would refuse. An alias is a spelling that opens one account, exactly as it was
-- always typed: it is looked up before the caseless key, because several of these spellings have the same key.
SET LOCAL lock_timeout = '10s';
CREATE TABLE authy.alias (
    spelling     text COLLATE "C" PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    -- The caseless key of the spelling, which no new user can take.
    spelling_key text COLLATE "C" NOT NULL
);
CREATE INDEX alias_by_user ON authy.alias (user_id);
CREATE INDEX alias_by_key ON authy.alias (spelling_key);

-- What is stored may be outside of the range that new roles have to be in.
ALTER TABLE authy.role DROP CONSTRAINT role_level_check;
