-- The shop's own tables. Those of authy are in the schema "authy", and authy creates them.
CREATE SCHEMA IF NOT EXISTS shop;

CREATE TABLE IF NOT EXISTS shop.customer (
    public_id        uuid PRIMARY KEY,  -- the user's ID in authy
    favourite_colour text NOT NULL
);

CREATE TABLE IF NOT EXISTS shop.order (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id uuid NOT NULL,            -- the user who ordered
    item      text NOT NULL,
    ordered   timestamptz NOT NULL DEFAULT now()
);
