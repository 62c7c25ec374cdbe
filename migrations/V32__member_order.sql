-- The users with a role, in the order in which they were granted it: a page of them is a range of this index. It serves whatever
-- `user_role_by_role` serves. Where there are users already, the program has built it without blocking writes.
CREATE INDEX IF NOT EXISTS user_role_by_grant ON authy.user_role (role_id, granted, user_id);

-- Takes no time, but waits for those who use the table, and all others would wait behind it.
SET LOCAL lock_timeout = '10s';
DROP INDEX IF EXISTS authy.user_role_by_role;
