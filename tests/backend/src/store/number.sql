-- Numbers that an agent has shown to be reachable at: once is enough.
CREATE TABLE verified_numbers (
    account TEXT NOT NULL,
    number  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (account, number)
) STRICT;

-- Codes that are out: one a number, the newest.
CREATE TABLE number_codes (
    account    TEXT NOT NULL,
    number     TEXT NOT NULL,
    code       TEXT NOT NULL, -- SHA-256 of account, number and code
    expires_at INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, number)
) STRICT;
