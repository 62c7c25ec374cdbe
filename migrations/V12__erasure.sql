-- When the personal data of a user was erased for good. The keys of name and address are then keyed hashes, which still keep
-- both from being taken.
ALTER TABLE authy.users ADD COLUMN erased_at timestamptz CHECK (erased_at IS NULL OR deleted_at IS NOT NULL);
