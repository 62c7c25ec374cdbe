-- The epoch of a user in which tokens of an earlier system are accepted that were never used here; NULL: the first one. An import that
-- changes a user who has no session here begins an epoch, and keeps these tokens.
SET LOCAL lock_timeout = '10s';
ALTER TABLE authy.users ADD COLUMN legacy_ver bigint;
