-- Version 2: deeds, what somebody signed that holds from a moment on.

CREATE TABLE beacon_ledger.deeds (
    name    BYTEA NOT NULL CHECK (octet_length(name) = 32),
    from_ms BIGINT NOT NULL CHECK (from_ms >= 0),
    text    TEXT NOT NULL CHECK (octet_length(text) <= 8192),
    PRIMARY KEY (name, from_ms)
);

CREATE TRIGGER stay BEFORE UPDATE OR DELETE ON beacon_ledger.deeds FOR EACH ROW EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay_t BEFORE TRUNCATE ON beacon_ledger.deeds EXECUTE FUNCTION beacon_ledger.stay();
