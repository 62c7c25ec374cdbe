SET LOCAL lock_timeout = '10s';

-- A login writes the time of the last one into the row of its user. When the page has room for the next version of the row, no index
-- is touched. Full pages cost five index entries instead, and twice the WAL: measured after an import of 300,000 users. Pages that
-- are there already get their room by the first logins.
ALTER TABLE authy.users SET (fillfactor = 90);

COMMENT ON COLUMN authy.throttle.key IS
    'account:<id> for the password of an account, or else a MAC: of a name that no account has, a device, or an address';
