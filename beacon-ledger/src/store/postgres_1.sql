-- Version 1. The invariants of K03 to K06 stand here a second time, so that no other client of the database, and no
-- mistake above, can break them.

CREATE TABLE beacon_ledger.accounts (
    id              BYTEA PRIMARY KEY CHECK (octet_length(id) = 33),
    opened_ms       BIGINT NOT NULL CHECK (opened_ms >= 0),
    changed_ms      BIGINT NOT NULL CHECK (changed_ms >= opened_ms),
    debits_pending  BIGINT NOT NULL CHECK (debits_pending >= 0),
    debits_posted   BIGINT NOT NULL CHECK (debits_posted >= 0),
    credits_pending BIGINT NOT NULL CHECK (credits_pending >= 0),
    credits_posted  BIGINT NOT NULL CHECK (credits_posted >= 0),
    -- all but issuance (kind 0) stay at or above zero; a difference, because a sum could overflow
    CHECK (get_byte(id, 0) = 0 OR debits_pending <= credits_posted - debits_posted)
);

CREATE TABLE beacon_ledger.entries (
    id     BYTEA PRIMARY KEY CHECK (octet_length(id) = 16),
    hash   BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    at_ms  BIGINT NOT NULL,
    reason TEXT NOT NULL CHECK (octet_length(reason) <= 1024)
);

CREATE TABLE beacon_ledger.transfers (
    entry  BYTEA NOT NULL REFERENCES beacon_ledger.entries (id),
    leg    SMALLINT NOT NULL CHECK (leg BETWEEN 0 AND 63),
    at_ms  BIGINT NOT NULL,
    debit  BYTEA NOT NULL REFERENCES beacon_ledger.accounts (id),
    credit BYTEA NOT NULL REFERENCES beacon_ledger.accounts (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    rule   SMALLINT NOT NULL CHECK (rule BETWEEN 1 AND 255),
    PRIMARY KEY (entry, leg),
    CHECK (debit <> credit)
);
CREATE INDEX transfers_debit ON beacon_ledger.transfers (debit, at_ms, entry, leg);
CREATE INDEX transfers_credit ON beacon_ledger.transfers (credit, at_ms, entry, leg);

CREATE TABLE beacon_ledger.holds (
    id         BYTEA PRIMARY KEY REFERENCES beacon_ledger.entries (id),
    debit      BYTEA NOT NULL REFERENCES beacon_ledger.accounts (id),
    credit     BYTEA NOT NULL REFERENCES beacon_ledger.accounts (id),
    amount     BIGINT NOT NULL CHECK (amount > 0),
    rule       SMALLINT NOT NULL CHECK (rule BETWEEN 1 AND 255),
    expires_ms BIGINT NOT NULL CHECK (expires_ms > 0),
    state      SMALLINT NOT NULL CHECK (state BETWEEN 0 AND 3),
    CHECK (debit <> credit)
);
CREATE INDEX holds_pending ON beacon_ledger.holds (expires_ms) WHERE state = 0;

CREATE TABLE beacon_ledger.counters (
    name  BYTEA PRIMARY KEY CHECK (octet_length(name) = 32),
    value BIGINT NOT NULL CHECK (value > 0)
);

CREATE FUNCTION beacon_ledger.stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER stay BEFORE UPDATE OR DELETE ON beacon_ledger.entries FOR EACH ROW EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay BEFORE UPDATE OR DELETE ON beacon_ledger.transfers FOR EACH ROW EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay BEFORE DELETE ON beacon_ledger.accounts FOR EACH ROW EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay BEFORE DELETE ON beacon_ledger.holds FOR EACH ROW EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay BEFORE DELETE ON beacon_ledger.counters FOR EACH ROW EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay_t BEFORE TRUNCATE ON beacon_ledger.entries EXECUTE FUNCTION beacon_ledger.stay();
CREATE TRIGGER stay_t BEFORE TRUNCATE ON beacon_ledger.transfers EXECUTE FUNCTION beacon_ledger.stay();

CREATE FUNCTION beacon_ledger.wrong() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% do not go back', TG_TABLE_NAME;
END $$;
CREATE TRIGGER grow BEFORE UPDATE ON beacon_ledger.accounts FOR EACH ROW
    WHEN (NEW.id <> OLD.id OR NEW.opened_ms <> OLD.opened_ms OR NEW.changed_ms < OLD.changed_ms
        OR NEW.debits_posted < OLD.debits_posted OR NEW.credits_posted < OLD.credits_posted)
    EXECUTE FUNCTION beacon_ledger.wrong();
CREATE TRIGGER end_once BEFORE UPDATE ON beacon_ledger.holds FOR EACH ROW
    WHEN (OLD.state <> 0 OR NEW.state = 0 OR NEW.id <> OLD.id OR NEW.debit <> OLD.debit OR NEW.credit <> OLD.credit
        OR NEW.amount <> OLD.amount OR NEW.rule <> OLD.rule OR NEW.expires_ms <> OLD.expires_ms)
    EXECUTE FUNCTION beacon_ledger.wrong();
CREATE TRIGGER grow BEFORE UPDATE ON beacon_ledger.counters FOR EACH ROW
    WHEN (NEW.name <> OLD.name OR NEW.value <= OLD.value)
    EXECUTE FUNCTION beacon_ledger.wrong();
