-- Version 2: deeds, what somebody signed that holds from a moment on.

CREATE TABLE deeds (
    name    BLOB NOT NULL CHECK (length(name) = 32),
    from_ms INTEGER NOT NULL CHECK (from_ms >= 0),
    text    TEXT NOT NULL CHECK (octet_length(text) <= 8192),
    PRIMARY KEY (name, from_ms)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER deeds_stay_u BEFORE UPDATE ON deeds BEGIN SELECT RAISE(ABORT, 'deeds are append-only'); END;
CREATE TRIGGER deeds_stay_d BEFORE DELETE ON deeds BEGIN SELECT RAISE(ABORT, 'deeds are append-only'); END;
