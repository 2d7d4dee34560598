-- What becomes of each push of the outbox. Pushes of earlier versions have no row: they are not sent again.
CREATE TABLE deliveries (
    seq           INTEGER PRIMARY KEY, -- of the outbox
    account       TEXT NOT NULL,
    device        TEXT NOT NULL,
    call_id       TEXT NOT NULL,
    kind          TEXT NOT NULL,    -- incoming, answered_elsewhere, ended
    deliver_by    INTEGER NOT NULL,
    stage         TEXT NOT NULL,    -- waiting, sending, or how it ended
    due_at        INTEGER NOT NULL, -- while it is waiting
    may_have_left INTEGER NOT NULL,
    tries         INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (stage, due_at);
CREATE INDEX deliveries_of ON deliveries (account, call_id, device);
