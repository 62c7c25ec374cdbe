-- The keys that sign access tokens. The private half is sealed with a key derived from the master key.
CREATE TABLE authy.signing_key (
    kid        text PRIMARY KEY,
    algorithm  text NOT NULL,
    state      text NOT NULL CHECK (state IN ('pending', 'active', 'retiring', 'retired')),
    public_jwk jsonb NOT NULL,
    sealed     bytea NOT NULL,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX signing_key_one_active ON authy.signing_key (algorithm) WHERE state = 'active';
