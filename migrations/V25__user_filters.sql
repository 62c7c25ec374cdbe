-- The few users that a filter looks for among many: the deleted ones, and those who have not confirmed their address. The others are
-- most users, and are found in the order of creation. Where there are users already, the program has built the indexes without
-- blocking writes.
CREATE INDEX IF NOT EXISTS users_deleted ON authy.users (created, public_id) WHERE deleted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_unconfirmed ON authy.users (created, public_id) WHERE validated_at IS NULL;
