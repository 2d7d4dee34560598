CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;

CREATE TABLE agents (
    account     TEXT PRIMARY KEY,
    email       TEXT NOT NULL UNIQUE,
    password    TEXT NOT NULL, -- argon2id
    totp_secret BLOB,
    totp_step   INTEGER NOT NULL DEFAULT 0, -- the last time step of which a code was used
    google      INTEGER NOT NULL,
    sso         INTEGER NOT NULL,
    rev         INTEGER NOT NULL,
    aggregate   TEXT NOT NULL,
    snapshot    TEXT NOT NULL -- what apps were told last
) STRICT;

CREATE TABLE upstream_users (
    tenant         TEXT NOT NULL,
    email          TEXT NOT NULL,
    name           TEXT NOT NULL,
    password       TEXT NOT NULL, -- argon2id
    email_verified INTEGER NOT NULL,
    PRIMARY KEY (tenant, email)
) STRICT;

CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    account       TEXT NOT NULL,
    kind          TEXT NOT NULL, -- mobile, browser, desktop
    cookie        TEXT UNIQUE,   -- SHA-256
    created_at    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    address       TEXT NOT NULL,
    second_factor INTEGER NOT NULL DEFAULT 0,
    generation    INTEGER NOT NULL DEFAULT 0, -- of refresh tokens
    rotated_at    INTEGER NOT NULL DEFAULT 0,
    ended_at      INTEGER,
    reason        TEXT
) STRICT;
CREATE INDEX sessions_of ON sessions (account, ended_at);

CREATE TABLE access_tokens (hash TEXT PRIMARY KEY, session TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT;
CREATE INDEX access_tokens_of ON access_tokens (session);

CREATE TABLE refresh_tokens (
    hash       TEXT PRIMARY KEY,
    session    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_tokens_of ON refresh_tokens (session);

CREATE TABLE codes (
    hash       TEXT PRIMARY KEY,
    account    TEXT NOT NULL,
    request    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    session    TEXT -- set once the code was used
) STRICT;

CREATE TABLE logins (
    hash       TEXT PRIMARY KEY,
    binding    TEXT NOT NULL, -- SHA-256 of the browser's login cookie
    step       TEXT NOT NULL, -- password, totp, done
    purpose    TEXT NOT NULL,
    account    TEXT,
    session    TEXT,
    upstream   TEXT,          -- SHA-256 of the state that went to the upstream issuer
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE answers (
    account     TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status      INTEGER NOT NULL,
    etag        TEXT,
    body        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT;

CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, entry TEXT NOT NULL) STRICT;

CREATE TABLE audit (
    at      INTEGER NOT NULL,
    account TEXT,
    event   TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
