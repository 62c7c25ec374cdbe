-- Roles: a smaller level is more power.
CREATE TABLE authy.role (
    role_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    name_key    text COLLATE "C" NOT NULL CONSTRAINT role_name_unique UNIQUE,
    description text NOT NULL,
    level       integer NOT NULL CONSTRAINT role_level_unique UNIQUE CHECK (level BETWEEN 0 AND 99999),
    seeded      boolean NOT NULL DEFAULT false
);

INSERT INTO authy.role (name, name_key, description, level, seeded) VALUES
    ('superadmin', 'superadmin', 'Superadministrator: may do everything', 0, true),
    ('admin', 'admin', 'Administrator: manages users and roles', 1, true),
    ('user', 'user', 'User: everybody who signs up', 10, true),
    ('guest', 'guest', 'Guest: may look around', 99, true);

CREATE TABLE authy.user_role (
    user_id uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    role_id integer NOT NULL REFERENCES authy.role ON DELETE CASCADE,
    granted timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role_id)
);
CREATE INDEX user_role_by_role ON authy.user_role (role_id, user_id);
