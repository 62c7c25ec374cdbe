-- A session that was opened without a login: its user has not shown the password, however young it is.
ALTER TABLE authy.session ADD COLUMN issued boolean NOT NULL DEFAULT false;
