-- What holds for all instances on this database.
CREATE TABLE authy.installation (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    -- The issuer of the tokens; NULL until the first instance with one has started.
    issuer      text,
    -- When an instance first began its background work. Sinks that begin earlier receive every event; later ones begin at the present.
    first_start timestamptz
);
-- A database with a signing key has been in use.
INSERT INTO authy.installation (first_start) SELECT min(created) FROM authy.signing_key;
