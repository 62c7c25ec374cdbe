-- When the first attempt of a delivery failed: a sink can have deliveries given up some time after that.
SET LOCAL lock_timeout = '10s';
ALTER TABLE authy.delivery ADD COLUMN first_failure timestamptz;
