-- The tables of SQLite, column for column, and what several nodes need besides.
CREATE TABLE meta (key TEXT PRIMARY KEY, value BYTEA NOT NULL);

CREATE TABLE agents (
    account     TEXT PRIMARY KEY,
    email       TEXT NOT NULL UNIQUE,
    password    TEXT NOT NULL, -- argon2id
    totp_secret BYTEA,
    totp_step   BIGINT NOT NULL DEFAULT 0, -- the last time step of which a code was used
    google      BIGINT NOT NULL,
    sso         BIGINT NOT NULL,
    rev         BIGINT NOT NULL,
    aggregate   TEXT NOT NULL,
    snapshot    TEXT NOT NULL, -- what apps were told last
    due_at      BIGINT -- when time changes it: whichever node lives then sees to it
);
CREATE INDEX agents_due ON agents (due_at);

CREATE TABLE upstream_users (
    tenant         TEXT NOT NULL,
    email          TEXT NOT NULL,
    name           TEXT NOT NULL,
    password       TEXT NOT NULL, -- argon2id
    email_verified BIGINT NOT NULL,
    PRIMARY KEY (tenant, email)
);

CREATE TABLE sessions (
    rowid         BIGINT GENERATED ALWAYS AS IDENTITY,
    id            TEXT PRIMARY KEY,
    account       TEXT NOT NULL,
    kind          TEXT NOT NULL, -- mobile, browser, desktop
    cookie        TEXT UNIQUE,   -- SHA-256
    created_at    BIGINT NOT NULL,
    last_seen     BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    address       TEXT NOT NULL,
    second_factor BIGINT NOT NULL DEFAULT 0,
    generation    BIGINT NOT NULL DEFAULT 0, -- of refresh tokens
    rotated_at    BIGINT NOT NULL DEFAULT 0,
    ended_at      BIGINT,
    reason        TEXT,
    upstream_iss  TEXT,
    upstream_sub  TEXT,
    upstream_sid  TEXT
);
CREATE INDEX sessions_of ON sessions (account, ended_at);
CREATE INDEX sessions_through ON sessions (upstream_iss, upstream_sub);

CREATE TABLE access_tokens (hash TEXT PRIMARY KEY, session TEXT NOT NULL, expires_at BIGINT NOT NULL);
CREATE INDEX access_tokens_of ON access_tokens (session);

CREATE TABLE refresh_tokens (
    rowid      BIGINT GENERATED ALWAYS AS IDENTITY,
    hash       TEXT PRIMARY KEY,
    session    TEXT NOT NULL,
    generation BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_of ON refresh_tokens (session);

CREATE TABLE codes (
    hash         TEXT PRIMARY KEY,
    account      TEXT NOT NULL,
    request      TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    session      TEXT, -- set once the code was used
    upstream_iss TEXT,
    upstream_sub TEXT,
    upstream_sid TEXT
);

CREATE TABLE logins (
    hash       TEXT PRIMARY KEY,
    binding    TEXT NOT NULL, -- SHA-256 of the browser's login cookie
    step       TEXT NOT NULL, -- password, totp, done
    purpose    TEXT NOT NULL,
    account    TEXT,
    session    TEXT,
    upstream   TEXT,          -- SHA-256 of the state that went to the upstream issuer
    expires_at BIGINT NOT NULL
);
CREATE INDEX logins_upstream ON logins (upstream);

CREATE TABLE answers (
    account     TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status      BIGINT NOT NULL,
    etag        TEXT,
    body        TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX answers_by_age ON answers (account, at);

CREATE TABLE logouts_seen (
    iss        TEXT NOT NULL,
    jti        TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (iss, jti)
);

CREATE TABLE logouts_due (
    seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       TEXT, -- of the upstream issuer; NULL: our issuer
    aud          TEXT NOT NULL,
    uri          TEXT NOT NULL,
    sub          TEXT NOT NULL,
    sid          TEXT NOT NULL,
    leased_until TIMESTAMPTZ -- by this server's clock; a node that lives sends it again then
);

CREATE TABLE upstream_sign_ins (sid TEXT PRIMARY KEY, tenant TEXT NOT NULL, email TEXT NOT NULL);

CREATE TABLE outbox (
    seq   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at    BIGINT NOT NULL,
    entry TEXT NOT NULL
);

CREATE TABLE deliveries (
    seq           BIGINT PRIMARY KEY, -- of the outbox
    account       TEXT NOT NULL,
    device        TEXT NOT NULL,
    call_id       TEXT NOT NULL,
    kind          TEXT NOT NULL,   -- incoming, answered_elsewhere, ended
    deliver_by    BIGINT NOT NULL,
    stage         TEXT NOT NULL,   -- waiting, sending, or how it ended
    due_at        BIGINT NOT NULL, -- while it is waiting
    may_have_left BIGINT NOT NULL,
    tries         BIGINT NOT NULL,
    leased_until  TIMESTAMPTZ      -- while it is out: the node that took it is dead after that
);
CREATE INDEX deliveries_due ON deliveries (stage, due_at);
CREATE INDEX deliveries_of ON deliveries (account, call_id, device);

CREATE TABLE verified_numbers (
    account TEXT NOT NULL,
    number  TEXT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (account, number)
);

CREATE TABLE number_codes (
    account    TEXT NOT NULL,
    number     TEXT NOT NULL,
    code       TEXT NOT NULL, -- SHA-256 of account, number and code
    expires_at BIGINT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (account, number)
);

CREATE TABLE audit (
    rowid   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    account TEXT,
    event   TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX audit_of ON audit (account);
