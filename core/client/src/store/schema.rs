//! The tables of the vault, and how an older vault becomes a newer one. Forward only: a newer vault is not opened by an
//! older app.

use rusqlite_migration::{M, Migrations};

/// One step a version; a step that was released is never changed.
const STEPS: &[M<'static>] = &[
    M::up(
        "
    -- Facts without secrets: install_id, wrapped data key, server offset, issuer metadata, why the last session ended.
    CREATE TABLE fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

    -- The one session. `tokens` is sealed.
    CREATE TABLE session (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        account TEXT NOT NULL,
        generation INTEGER NOT NULL,
        tokens BLOB NOT NULL
    );

    -- Who refreshes (lease), and which generation was about to be replaced (intent): written before the request leaves.
    CREATE TABLE refresh (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        owner TEXT,
        lease_until INTEGER,
        intent INTEGER
    );

    -- Sealed rows of which there is one each: pending, snapshot, push_token.
    CREATE TABLE sealed (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

    -- Refresh tokens that wait to be revoked, sealed.
    CREATE TABLE revocation (id INTEGER PRIMARY KEY AUTOINCREMENT, token BLOB NOT NULL);

    -- What the ring rule remembers. Not sealed: a push may come before the first unlock. No name, number or secret.
    CREATE TABLE knowledge (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL);

    -- Rows that could not be opened.
    CREATE TABLE quarantine (id INTEGER PRIMARY KEY, place TEXT NOT NULL, value BLOB NOT NULL, why TEXT NOT NULL);
    ",
    ),
    M::up(
        "
    -- Tells the tokens of one sign-in from those of the next, whose generations begin anew.
    ALTER TABLE session ADD COLUMN sign_in INTEGER NOT NULL DEFAULT 0;
    ",
    ),
    M::up(
        "
    -- The issuer's metadata say where refresh tokens are sent: sealed from now on (`sealed`, 'metadata'), asked for anew until then.
    DELETE FROM fact WHERE name = 'metadata';
    ",
    ),
    M::up(
        "
    -- Which session was stored last, sealed: an older row that is put back does not open.
    CREATE TABLE newest (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL);
    ",
    ),
];

/// How many versions there are.
#[cfg(test)]
pub(super) const VERSIONS: usize = STEPS.len();

pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_vault_reaches_the_newest_schema() {
        MIGRATIONS.validate().unwrap();
    }
}
