//! The push outbox, and what becomes of each push.

use crate::clock::Millis;
use hookswitch_wire::{AccountId, CallId, DeviceId, PushKind};

use super::{Result, Row, Tx, values};
use crate::{
    operator::{DeliveryReport, OutboxEntry},
    push::{Delivery, DeliveryEnd, Stage},
};

/// How many pushes the outbox remembers.
const KEEP: u64 = 100_000;

/// A push that is due.
pub(crate) struct PushDue {
    pub(crate) delivery: Delivery,
    pub(crate) entry: OutboxEntry,
}

/// How long a push may be out in milliseconds, by the clock of PostgreSQL: longer than a push service gets for its answer.
const LEASE: i64 = 15_000;

const COLUMNS: &str = "seq, kind, deliver_by, stage, due_at, may_have_left, tries";

const fn kind_name(kind: PushKind) -> &'static str {
    match kind {
        PushKind::Incoming => "incoming",
        PushKind::AnsweredElsewhere => "answered_elsewhere",
        PushKind::Ended => "ended",
        PushKind::Unknown => "unknown",
    }
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting { .. } => "waiting",
        Stage::Sending => "sending",
        Stage::Done(end) => end.name(),
    }
}

const fn due_at(stage: Stage) -> Millis {
    match stage {
        Stage::Waiting { due_at } => due_at,
        Stage::Sending | Stage::Done(_) => 0,
    }
}

fn delivery(row: &Row) -> Result<Delivery> {
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
        let sql = "INSERT INTO outbox (at, entry) VALUES (?1, ?2) RETURNING seq";
        let seq: Option<u64> = self.row(sql, values![entry.at, serde_json::to_string(entry)?], |row| row.get(0))?;
        entry.seq = seq.unwrap_or_default();
        let payload = &entry.payload;
        let delivery = Delivery::new(entry.seq, payload.kind, payload.expires_at.0, entry.at);
        let sql = "INSERT INTO deliveries (seq, account, device, call_id, kind, deliver_by, stage, due_at, may_have_left, tries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.execute(
            sql,
            values![
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
            ],
        )?;
        for table in ["outbox", "deliveries"] {
            self.execute(&format!("DELETE FROM {table} WHERE seq <= ?1"), values![entry.seq.saturating_sub(KEEP)])?;
        }
        Ok(())
    }

    pub(crate) fn pushes_since(&self, seq: u64) -> Result<Vec<OutboxEntry>> {
        let sql = "SELECT seq, entry FROM outbox WHERE seq > ?1 ORDER BY seq";
        self.rows(sql, values![seq], |row| {
            let entry: String = row.get(1)?;
            let mut entry: OutboxEntry = serde_json::from_str(&entry)?;
            entry.seq = row.get(0)?;
            Ok(entry)
        })
    }

    /// At most so many pushes whose time has come, in the order in which they were decided on. No other node gets them.
    pub(crate) fn pushes_due(&self, now: Millis, most: usize) -> Result<Vec<PushDue>> {
        let sql = &format!(
            "SELECT {COLUMNS}, entry FROM deliveries JOIN outbox USING (seq)
             WHERE stage = 'waiting' AND due_at <= ?1 ORDER BY seq LIMIT ?2{}",
            if self.is_shared() { " FOR UPDATE OF deliveries SKIP LOCKED" } else { "" }
        );
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (mut due, mut unreadable) = (Vec::new(), Vec::new());
        for (delivery, entry) in
            self.rows(sql, values![now, most], |row| Ok((delivery(row)?, row.get::<String>(7)?)))?
        {
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
    pub(crate) fn next_push(&self) -> Result<Option<Millis>> {
        let sql = "SELECT MIN(due_at) FROM deliveries WHERE stage = 'waiting'";
        Ok(self.row(sql, values![], |row| row.get(0))?.flatten())
    }

    pub(crate) fn delivery(&self, seq: u64) -> Result<Option<Delivery>> {
        let sql = &format!("SELECT {COLUMNS} FROM deliveries WHERE seq = ?1");
        self.row(sql, values![seq], delivery)
    }

    /// The push that made this device ring.
    pub(crate) fn start_of(&self, account: &AccountId, call: &CallId, device: &DeviceId) -> Result<Option<Delivery>> {
        let sql = &format!(
            "SELECT {COLUMNS} FROM deliveries
             WHERE account = ?1 AND call_id = ?2 AND device = ?3 AND kind = 'incoming' ORDER BY seq DESC LIMIT 1"
        );
        self.row(sql, values![account.as_str(), call.as_str(), device.as_str()], delivery)
    }

    pub(crate) fn save_delivery(&self, delivery: &Delivery) -> Result<()> {
        let sql = "UPDATE deliveries SET stage = ?2, due_at = ?3, may_have_left = ?4, tries = ?5 WHERE seq = ?1";
        self.execute(
            sql,
            values![
                delivery.seq,
                stage_name(delivery.stage),
                due_at(delivery.stage),
                delivery.may_have_left,
                delivery.tries
            ],
        )?;
        if self.is_shared() && delivery.stage == Stage::Sending {
            let sql = "UPDATE deliveries SET leased_until = clock_timestamp() + CAST(?2 AS BIGINT) * INTERVAL '1 millisecond' WHERE seq = ?1";
            self.execute(sql, values![delivery.seq, LEASE])?;
        }
        Ok(())
    }

    /// The pushes that were out when the backend stopped; with several nodes, when the node stopped that had them.
    pub(crate) fn pushes_out(&self) -> Result<Vec<Delivery>> {
        let left = if self.is_shared() { " AND leased_until < clock_timestamp()" } else { "" };
        let skip = if self.is_shared() { " FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = &format!("SELECT {COLUMNS} FROM deliveries WHERE stage = 'sending'{left} ORDER BY seq{skip}");
        self.rows(sql, values![], delivery)
    }

    pub(crate) fn deliveries_since(&self, seq: u64) -> Result<Vec<DeliveryReport>> {
        let sql = &format!("SELECT {COLUMNS}, device, call_id FROM deliveries WHERE seq > ?1 ORDER BY seq");
        self.rows(sql, values![seq], |row| {
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
        })
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::{CallPush, Platform, UnixMillis, Version};

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
                expires_at: UnixMillis(31_000),
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
        let mut connection = store.connect().unwrap();
        let tx = connection.begin().unwrap();
        for call in ["first", "second"] {
            tx.insert_push(&mut entry(call)).unwrap();
        }
        tx.execute("UPDATE outbox SET entry = '{}' WHERE seq = 1", &[]).unwrap();
        let due = tx.pushes_due(1_000, 10).unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!((due[0].entry.seq, due[0].entry.payload.call_id.as_str()), (2, "second"));
        assert_eq!(tx.deliveries_since(0).unwrap()[0].end, Some(DeliveryEnd::Rejected));
    }

    #[test]
    fn a_delivery_survives_the_database() {
        let store = Store::open(&Database::Memory).unwrap();
        let mut connection = store.connect().unwrap();
        let tx = connection.begin().unwrap();
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
