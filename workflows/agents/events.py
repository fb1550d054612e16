"""Events between services: an outbox and an inbox in each service's own books.

`announce` writes an event in the transaction of what it tells, so that there is never one without the other.
`publish` hands over an event of the outbox. `accept` lets an event have its effect once, however often it comes.
"""

import datetime
import hashlib
import json

import books
import contract


def announce(db, call, source, event_type, word, data):
    """Writes an event into the outbox. Its id comes from the call's key: the same key, the same event."""
    event_id = f"evt_{word}_{digest(call.key)}"
    event = {
        "event_id": event_id,
        "event_type": event_type,
        "timestamp": now(),
        "source": source,
        "data": data,
    }
    db.execute("INSERT INTO outbox VALUES (?, ?, ?, NULL)", (event_id, data["order_id"], contract.dump(event)))
    return event_id


def publish(of, to):
    """Makes a step that publishes the event named in its input `of`, as its output `to`."""

    @books.once
    def step(db, call):
        event_id = call.inputs[of]["event_id"]
        row = db.execute("SELECT body FROM outbox WHERE event_id = ?", (event_id,)).fetchone()
        if row is None:
            raise contract.Refused(f"there is no event {event_id}", "unknown_event")
        db.execute("UPDATE outbox SET published_at = ? WHERE event_id = ?", (now(), event_id))
        event = json.loads(row["body"])
        return {to: event, "event_id": event_id, "event_type": event["event_type"]}

    return step


def accept(db, event):
    """Whether an event is new here; the second time it is not."""
    row = (event["event_id"], event["data"]["order_id"])
    return db.execute("INSERT OR IGNORE INTO inbox VALUES (?, ?)", row).rowcount == 1


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
