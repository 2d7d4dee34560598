//! The push outbox, and what becomes of each push.

use hookswitch_wire::{AccountId, CallId, DeviceId, PushKind, UnixMillis};
use rusqlite::{OptionalExtension, Row, params};

use super::{Result, Tx};
use crate::{
    operator::{DeliveryReport, OutboxEntry},
    push::{Delivery, DeliveryEnd, Stage},
};

/// How many pushes the outbox remembers.
const KEEP: i64 = 100_000;

/// A push that is due.
pub(crate) struct PushDue {
    pub(crate) delivery: Delivery,
    pub(crate) entry: OutboxEntry,
}

const COLUMNS: &str = "seq, kind, deliver_by, stage, due_at, may_have_left, tries";

const fn kind_name(kind: PushKind) -> &'static str {
    match kind {
        PushKind::Incoming => "incoming",
        PushKind::AnsweredElsewhere => "answered_elsewhere",
        PushKind::Ended => "ended",
    }
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting { .. } => "waiting",
        Stage::Sending => "sending",
        Stage::Done(end) => end.name(),
    }
}

const fn due_at(stage: Stage) -> UnixMillis {
    match stage {
        Stage::Waiting { due_at } => due_at,
        Stage::Sending | Stage::Done(_) => 0,
    }
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let (kind, stage): (String, String) = (row.get(1)?, row.get(3)?);
    Ok(Delivery {
        seq: row.get(0)?,
        kind: match kind.as_str() {
            "incoming" => PushKind::Incoming,
            "answered_elsewhere" => PushKind::AnsweredElsewhere,
            _ => PushKind::Ended,
        },
        deliver_by: row.get(2)?,
        stage: match stage.as_str() {
            "waiting" => Stage::Waiting { due_at: row.get(4)? },
            "sending" => Stage::Sending,
            end => Stage::Done(DeliveryEnd::parse(end).unwrap_or(DeliveryEnd::Rejected)),
        },
        may_have_left: row.get(5)?,
        tries: row.get(6)?,
    })
}

impl Tx<'_> {
    /// Writes a push into the outbox and numbers it. It is sent as soon as somebody looks.
    pub(crate) fn insert_push(&self, entry: &mut OutboxEntry) -> Result<()> {
        let mut statement = self.0.prepare_cached("INSERT INTO outbox (at, entry) VALUES (?1, ?2)")?;
        statement.execute(params![entry.at, serde_json::to_string(entry)?])?;
        let seq = self.0.last_insert_rowid();
        entry.seq = u64::try_from(seq).unwrap_or_default();
        let payload = &entry.payload;
        let delivery = Delivery::new(entry.seq, payload.kind, payload.expires_at, entry.at);
        let mut statement = self.0.prepare_cached(
            "INSERT INTO deliveries (seq, account, device, call_id, kind, deliver_by, stage, due_at, may_have_left, tries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        statement.execute(params![
            delivery.seq,
            payload.account.as_str(),
            entry.device.as_str(),
            payload.call_id.as_str(),
            kind_name(delivery.kind),
            delivery.deliver_by,
            stage_name(delivery.stage),
            due_at(delivery.stage),
            delivery.may_have_left,
            delivery.tries
        ])?;
        for table in ["outbox", "deliveries"] {
            self.0.execute(&format!("DELETE FROM {table} WHERE seq <= ?1"), [seq.saturating_sub(KEEP)])?;
        }
        Ok(())
    }

    pub(crate) fn pushes_since(&self, seq: u64) -> Result<Vec<OutboxEntry>> {
        let mut statement = self.0.prepare_cached("SELECT seq, entry FROM outbox WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = statement.query([seq])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let entry: String = row.get(1)?;
            let mut entry: OutboxEntry = serde_json::from_str(&entry)?;
            entry.seq = row.get(0)?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// At most so many pushes whose time has come, in the order in which they were decided on.
    pub(crate) fn pushes_due(&self, now: UnixMillis, most: usize) -> Result<Vec<PushDue>> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT {COLUMNS}, entry FROM deliveries JOIN outbox USING (seq)
             WHERE stage = 'waiting' AND due_at <= ?1 ORDER BY seq LIMIT ?2"
        ))?;
        let mut rows = statement.query(params![now, i64::try_from(most).unwrap_or(i64::MAX)])?;
        let (mut due, mut unreadable) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (delivery, entry): (Delivery, String) = (delivery(row)?, row.get(7)?);
            match serde_json::from_str::<OutboxEntry>(&entry) {
                Ok(entry) => due.push(PushDue { entry: OutboxEntry { seq: delivery.seq, ..entry }, delivery }),
                Err(error) => unreadable.push((delivery, error)),
            }
        }
        // Of another version. It must not hold up the calls behind it.
        for (delivery, error) in unreadable {
            tracing::error!(seq = delivery.seq, %error, "a push in the outbox cannot be read");
            self.save_delivery(&Delivery { stage: Stage::Done(DeliveryEnd::Rejected), ..delivery })?;
        }
        Ok(due)
    }

    /// When the next push is due.
    pub(crate) fn next_push(&self) -> Result<Option<UnixMillis>> {
        let mut statement = self.0.prepare_cached("SELECT MIN(due_at) FROM deliveries WHERE stage = 'waiting'")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    pub(crate) fn delivery(&self, seq: u64) -> Result<Option<Delivery>> {
        let mut statement = self.0.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries WHERE seq = ?1"))?;
        Ok(statement.query_row([seq], delivery).optional()?)
    }

    /// The push that made this device ring.
    pub(crate) fn start_of(&self, account: &AccountId, call: &CallId, device: &DeviceId) -> Result<Option<Delivery>> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM deliveries
             WHERE account = ?1 AND call_id = ?2 AND device = ?3 AND kind = 'incoming' ORDER BY seq DESC LIMIT 1"
        ))?;
        let start = statement.query_row(params![account.as_str(), call.as_str(), device.as_str()], delivery);
        Ok(start.optional()?)
    }

    pub(crate) fn save_delivery(&self, delivery: &Delivery) -> Result<()> {
        let mut statement = self.0.prepare_cached(
            "UPDATE deliveries SET stage = ?2, due_at = ?3, may_have_left = ?4, tries = ?5 WHERE seq = ?1",
        )?;
        statement.execute(params![
            delivery.seq,
            stage_name(delivery.stage),
            due_at(delivery.stage),
            delivery.may_have_left,
            delivery.tries
        ])?;
        Ok(())
    }

    /// The pushes that were out when the backend stopped.
    pub(crate) fn pushes_out(&self) -> Result<Vec<Delivery>> {
        let mut statement =
            self.0.prepare_cached(&format!("SELECT {COLUMNS} FROM deliveries WHERE stage = 'sending' ORDER BY seq"))?;
        let out = statement.query_map([], delivery)?;
        Ok(out.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn deliveries_since(&self, seq: u64) -> Result<Vec<DeliveryReport>> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT {COLUMNS}, device, call_id FROM deliveries WHERE seq > ?1 ORDER BY seq"
        ))?;
        let reports = statement.query_map([seq], |row| {
            let delivery = delivery(row)?;
            Ok(DeliveryReport {
                seq: delivery.seq,
                device: DeviceId(row.get(7)?),
                call_id: CallId(row.get(8)?),
                kind: delivery.kind,
                tries: delivery.tries,
                may_have_left: delivery.may_have_left,
                is_out: delivery.stage == Stage::Sending,
                end: match delivery.stage {
                    Stage::Waiting { .. } | Stage::Sending => None,
                    Stage::Done(end) => Some(end),
                },
            })
        })?;
        Ok(reports.collect::<rusqlite::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::{CallPush, Platform, Version};

    use super::*;
    use crate::{config::Database, store::Store};

    fn entry(call: &str) -> OutboxEntry {
        OutboxEntry {
            seq: 0,
            at: 1_000,
            device: DeviceId::from("phone"),
            platform: Platform::Ios,
            push_token: "token".to_owned(),
            payload: CallPush {
                kind: PushKind::Incoming,
                call_id: CallId::from(call),
                account: AccountId::from("a"),
                expires_at: 31_000,
                routing: Version::new(1, 1),
                forwarding_on: false,
                from: None,
                from_name: None,
            },
        }
    }

    #[test]
    fn a_push_that_cannot_be_read_holds_no_other_up() {
        let store = Store::open(&Database::Memory).unwrap();
        let mut connection = store.lock();
        let tx = Tx::begin(&mut connection).unwrap();
        for call in ["first", "second"] {
            tx.insert_push(&mut entry(call)).unwrap();
        }
        tx.0.execute("UPDATE outbox SET entry = '{}' WHERE seq = 1", []).unwrap();
        let due = tx.pushes_due(1_000, 10).unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].entry.seq, due[0].entry.payload.call_id.as_str()), (2, "second"));
        assert_eq!(tx.deliveries_since(0).unwrap()[0].end, Some(DeliveryEnd::Rejected));
    }

    #[test]
    fn a_delivery_survives_the_database() {
        let store = Store::open(&Database::Memory).unwrap();
        let mut connection = store.lock();
        let tx = Tx::begin(&mut connection).unwrap();
        let mut push = entry("call");
        tx.insert_push(&mut push).unwrap();
        let start = || tx.start_of(&AccountId::from("a"), &CallId::from("call"), &DeviceId::from("phone")).unwrap();
        let mut delivery = start().unwrap();
        assert_eq!(delivery, Delivery::new(push.seq, PushKind::Incoming, 31_000, 1_000));
        assert!(tx.pushes_due(999, 10).unwrap().is_empty() && tx.pushes_due(1_000, 10).unwrap().len() == 1);
        delivery.leave();
        tx.save_delivery(&delivery).unwrap();
        assert_eq!(start(), Some(delivery.clone()));
        assert_eq!((tx.next_push().unwrap(), tx.pushes_out().unwrap()), (None, vec![delivery.clone()]));
        delivery.interrupted(2_000);
        tx.save_delivery(&delivery).unwrap();
        assert_eq!(tx.delivery(push.seq).unwrap(), Some(delivery));
        assert_eq!(tx.next_push().unwrap(), Some(2_000));
    }
}
