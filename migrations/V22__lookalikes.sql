-- What the names of administrators look like, so that a sign-up finds in one step of an index whether its name looks like one.
-- Rows are made when somebody becomes an administrator, and stay: whether somebody is one is asked of the roles. The program
-- fills in those who became one before, or by an older program.
CREATE TABLE authy.administrator_name (
    user_id  uuid NOT NULL REFERENCES authy.users ON DELETE CASCADE,
    skeleton text COLLATE "C" NOT NULL,
    -- The rule that made the skeleton.
    rule     text NOT NULL,
    PRIMARY KEY (user_id, skeleton)
);
CREATE INDEX administrator_name_by_skeleton ON authy.administrator_name (skeleton);
