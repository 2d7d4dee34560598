//! The vault's file: opened, checked, brought to the newest schema; put aside when it is damaged.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode};

use super::{fault::Fault, schema::MIGRATIONS};

const NAME: &str = "vault.sqlite";
/// Where a damaged file goes, for support to look at; the next one replaces it. What is in it is sealed.
const ASIDE: &str = "vault.damaged.sqlite";
/// What SQLite keeps beside a file.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];
/// Another process of this app may be in the middle of a transaction.
const PATIENCE: Duration = Duration::from_secs(5);

/// The vault's database, open and with the newest schema.
pub(super) struct Opened {
    pub(super) db: Connection,
    /// The file that was there could not be read, and this is a new one.
    pub(super) was_damaged: bool,
}

/// Opens the file in `folder`, making it when there is none.
pub(super) fn open(folder: &Path) -> Result<Opened, Fault> {
    fs::create_dir_all(folder).map_err(Fault::Io)?;
    match try_open(&folder.join(NAME)) {
        Ok(db) => Ok(Opened { db, was_damaged: false }),
        Err(fault) if is_damage(&fault) => {
            for beside in BESIDE {
                let from = folder.join(format!("{NAME}{beside}"));
                if from.exists() {
                    fs::rename(from, folder.join(format!("{ASIDE}{beside}"))).map_err(Fault::Io)?;
                }
            }
            Ok(Opened { db: try_open(&folder.join(NAME))?, was_damaged: true })
        }
        Err(fault) => Err(fault),
    }
}

fn try_open(path: &Path) -> Result<Connection, Fault> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(PATIENCE)?;
    // FULL: a commit has reached the disk when it returns. Deleted secrets are overwritten, temporary tables stay in
    // memory.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;",
    )?;
    // Some kilobytes: looked through in less than a millisecond.
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Corrupt);
    }
    // Two processes that start at once may both find an old schema; who comes second finds a new one when it looks again.
    let mut result = MIGRATIONS.to_latest(&mut db);
    for _ in 0..3 {
        if result.is_ok() {
            break;
        }
        result = MIGRATIONS.to_latest(&mut db);
    }
    result.map_err(Fault::Migration)?;
    Ok(db)
}

/// Whether the file itself is the fault: not the disk, not a lock, not an older app.
fn is_damage(fault: &Fault) -> bool {
    match fault {
        Fault::Corrupt => true,
        Fault::Sqlite(error) => {
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        }
        Fault::Migration(_) | Fault::Io(_) | Fault::Random | Fault::Key(_) | Fault::OtherKey | Fault::Unnamed => false,
    }
}
