-- The life of a signing key: published before it signs, and for as long as what it signed lives.
ALTER TABLE authy.signing_key ADD COLUMN changed timestamptz NOT NULL DEFAULT now();
