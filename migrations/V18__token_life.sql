-- How long the access tokens of the servers on this database live. Each server notes its own setting while it runs; a verifier
-- refuses a token that lives longer than any of them issues.
CREATE TABLE authy.token_life (
    seconds bigint PRIMARY KEY CHECK (seconds > 0),
    seen    timestamptz NOT NULL DEFAULT now()
);
