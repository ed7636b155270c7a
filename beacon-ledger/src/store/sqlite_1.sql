-- Version 1. The invariants of K03 to K06 stand here a second time, so that no other program that opens the
-- file, and no mistake above, can break them.

CREATE TABLE accounts (
    id              BLOB PRIMARY KEY CHECK (length(id) = 33),
    opened_ms       INTEGER NOT NULL CHECK (opened_ms >= 0),
    changed_ms      INTEGER NOT NULL CHECK (changed_ms >= opened_ms),
    debits_pending  INTEGER NOT NULL CHECK (debits_pending >= 0),
    debits_posted   INTEGER NOT NULL CHECK (debits_posted >= 0),
    credits_pending INTEGER NOT NULL CHECK (credits_pending >= 0),
    credits_posted  INTEGER NOT NULL CHECK (credits_posted >= 0),
    -- all but issuance (kind 0) stay at or above zero
    CHECK (substr(id, 1, 1) = x'00' OR debits_posted + debits_pending <= credits_posted)
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    id     BLOB PRIMARY KEY CHECK (length(id) = 16),
    hash   BLOB NOT NULL CHECK (length(hash) = 32),
    at_ms  INTEGER NOT NULL,
    reason TEXT NOT NULL CHECK (octet_length(reason) <= 1024)
) STRICT, WITHOUT ROWID;

CREATE TABLE transfers (
    entry  BLOB NOT NULL REFERENCES entries (id),
    leg    INTEGER NOT NULL CHECK (leg BETWEEN 0 AND 63),
    at_ms  INTEGER NOT NULL,
    debit  BLOB NOT NULL REFERENCES accounts (id),
    credit BLOB NOT NULL REFERENCES accounts (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    rule   INTEGER NOT NULL CHECK (rule BETWEEN 1 AND 255),
    PRIMARY KEY (entry, leg),
    CHECK (debit <> credit)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_debit ON transfers (debit, at_ms, entry, leg);
CREATE INDEX transfers_credit ON transfers (credit, at_ms, entry, leg);

CREATE TABLE holds (
    id         BLOB PRIMARY KEY REFERENCES entries (id),
    debit      BLOB NOT NULL REFERENCES accounts (id),
    credit     BLOB NOT NULL REFERENCES accounts (id),
    amount     INTEGER NOT NULL CHECK (amount > 0),
    rule       INTEGER NOT NULL CHECK (rule BETWEEN 1 AND 255),
    expires_ms INTEGER NOT NULL CHECK (expires_ms > 0),
    state      INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    CHECK (debit <> credit)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_pending ON holds (expires_ms) WHERE state = 0;

CREATE TABLE counters (
    name  BLOB PRIMARY KEY CHECK (length(name) = 32),
    value INTEGER NOT NULL CHECK (value > 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_stay_u BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entries_stay_d BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER transfers_stay_u BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_stay_d BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER accounts_stay_d BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'accounts stay'); END;
CREATE TRIGGER holds_stay_d BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'holds stay'); END;
CREATE TRIGGER counters_stay_d BEFORE DELETE ON counters BEGIN SELECT RAISE(ABORT, 'counters stay'); END;
CREATE TRIGGER accounts_grow BEFORE UPDATE ON accounts
    WHEN NEW.id <> OLD.id OR NEW.opened_ms <> OLD.opened_ms OR NEW.changed_ms < OLD.changed_ms
        OR NEW.debits_posted < OLD.debits_posted OR NEW.credits_posted < OLD.credits_posted
    BEGIN SELECT RAISE(ABORT, 'what was posted stays'); END;
CREATE TRIGGER holds_end_once BEFORE UPDATE ON holds
    WHEN OLD.state <> 0 OR NEW.state = 0 OR NEW.id <> OLD.id OR NEW.debit <> OLD.debit OR NEW.credit <> OLD.credit
        OR NEW.amount <> OLD.amount OR NEW.rule <> OLD.rule OR NEW.expires_ms <> OLD.expires_ms
    BEGIN SELECT RAISE(ABORT, 'a hold ends once'); END;
CREATE TRIGGER counters_grow BEFORE UPDATE ON counters
    WHEN NEW.name <> OLD.name OR NEW.value <= OLD.value
    BEGIN SELECT RAISE(ABORT, 'a counter only grows'); END;
