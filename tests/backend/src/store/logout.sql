-- Sessions know the upstream session that they were made through, so that they can end with it.
ALTER TABLE sessions ADD COLUMN upstream_iss TEXT;
ALTER TABLE sessions ADD COLUMN upstream_sub TEXT;
ALTER TABLE sessions ADD COLUMN upstream_sid TEXT;
CREATE INDEX sessions_through ON sessions (upstream_iss, upstream_sub);
ALTER TABLE codes ADD COLUMN upstream_iss TEXT;
ALTER TABLE codes ADD COLUMN upstream_sub TEXT;
ALTER TABLE codes ADD COLUMN upstream_sid TEXT;

-- Logout tokens that were received: each works once.
CREATE TABLE logouts_seen (
    iss        TEXT NOT NULL,
    jti        TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (iss, jti)
) STRICT;

-- Logout tokens that are to be sent. They are signed when they are.
CREATE TABLE logouts_due (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT,          -- of the upstream issuer; NULL: our issuer
    aud    TEXT NOT NULL,
    uri    TEXT NOT NULL,
    sub    TEXT NOT NULL,
    sid    TEXT NOT NULL
) STRICT;

-- The upstream issuer's own: who is signed in there.
CREATE TABLE upstream_sign_ins (
    sid    TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    email  TEXT NOT NULL
) STRICT;
