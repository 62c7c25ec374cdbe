-- What imports and exports record says less about passwords, and more about the source.
SET LOCAL lock_timeout = '10s';

-- Whether the source is the first authy, to which an export may write: only there is the old hash of a password of use.
ALTER TABLE authy.import_origin ADD COLUMN of_first_authy boolean NOT NULL DEFAULT false;

-- The digests of passwords were of the whole old hash: with one, and with the salt, a thief of the database could try passwords at the
-- cost of that hash, although argon2id was over it. The new ones are of the format, the parameters and the salt. Without one, the next
-- import or export takes the password there as unchanged, and writes the new one.
UPDATE authy.import_origin SET digest = NULL, password_digest = NULL WHERE digest IS NOT NULL OR password_digest IS NOT NULL;
UPDATE authy.export_intent SET password_digest = NULL WHERE password_digest IS NOT NULL;
