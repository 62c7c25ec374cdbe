-- Why a sink that is told everything as one stream takes nothing at present.
ALTER TABLE authy.event_cursor ADD COLUMN error text;
