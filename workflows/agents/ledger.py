"""What the agents of order-events.md share: an event store, in the file that LEDGER_DB names.

An order is what has happened to it: a stream of events, numbered from 1. `load` folds it into what the order is now.
`command` makes a step of a decision: it is handed the order, and says which events follow. They are appended as the next
versions of the stream; if somebody else was faster, that is a conflict, and the step is asked again. What the order may
become is in `TRANSITIONS`; an event that would lead elsewhere is refused.
"""

import json

import books
import contract

connect = books.opener("LEDGER_DB", "ledger")

TRANSITIONS = {
    None: {"pending"},
    "pending": {"payment_processing", "cancelled"},
    "payment_processing": {"payment_completed", "cancelled"},
    "payment_completed": {"inventory_reserved", "cancelled"},
    "inventory_reserved": {"confirmed", "cancelled"},
    "confirmed": set(),
    "cancelled": set(),
}

# What an event makes of an order; the others tell of something that leaves it as it is.
LEADS_TO = {
    "OrderCreated": "pending",
    "PaymentProcessing": "payment_processing",
    "PaymentCompleted": "payment_completed",
    "InventoryReserved": "inventory_reserved",
    "OrderConfirmed": "confirmed",
    "OrderCancelled": "cancelled",
}


class Order:
    """What the events of a stream, applied in their order, come to."""

    def __init__(self, order_id):
        self.order_id, self.status, self.version, self.data, self.events = order_id, None, 0, {}, []

    def apply(self, kind, data, key):
        to = LEADS_TO.get(kind)
        if to and to not in TRANSITIONS[self.status]:
            raise contract.Refused(f"{kind}: an order that is {self.status} cannot become {to}", "illegal_transition")
        self.status = to or self.status
        self.version += 1
        self.data.update(data)
        self.events.append((kind, data, key))

    def last(self, *kinds):
        """The latest event of these kinds, as (kind, data, key)."""
        return next((event for event in reversed(self.events) if event[0] in kinds), None)

    def did(self, key, kind):
        """Whether the step with this key has brought about such an event."""
        return any(event[0] == kind and event[2] == key for event in self.events)


def load(db, order_id):
    order = Order(order_id)
    for row in db.execute("SELECT type, data, key FROM events WHERE order_id = ? ORDER BY version", (order_id,)):
        order.apply(row["type"], json.loads(row["data"]), row["key"])
    return order


def command(of):
    """Makes a step of a decision `(db, call, order) -> (answer, events)`; `of` finds the order's id in the call.

    The answer may be a refusal: then its events are kept all the same, for they have happened.
    """

    def make(decide):
        def step(db, call):
            known = settle(db, call)
            if known is not None:
                return known
            order = load(db, of(call))
            version = order.version
            answer, events = decide(db, call, order)
            with db:
                books.begin(db)
                books.refuse_undone(db, call)
                append(db, call, order, version, events)
                if not isinstance(answer, contract.Refused):
                    keep(db, call, answer)
            if isinstance(answer, contract.Refused):
                raise answer
            return answer

        return step

    return make


def settle(db, call):
    """What was answered before; a step that undoes another first sees to it that the other comes too late from now on."""
    with db:
        books.begin(db)
        if call.forward_key:
            books.forbid(db, call)
        return books.answered(db, call.key)


def keep(db, call, answer):
    db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", (call.key, call.run, call.step, contract.dump(answer)))


def append(db, call, order, version, events):
    """Appends events behind the version that the decision was made on, and notes what the order is now."""
    there = db.execute("SELECT coalesce(max(version), 0) FROM events WHERE order_id = ?", (order.order_id,)).fetchone()[0]
    if events and there != version:
        raise contract.Busy(f"{order.order_id} has changed meanwhile: version {there}, not {version}", "version_conflict")
    for kind, data in events:
        order.apply(kind, data, call.key)
        row = (order.order_id, order.version, kind, contract.dump(data), call.key)
        db.execute("INSERT INTO events (order_id, version, type, data, key) VALUES (?, ?, ?, ?, ?)", row)
    if events:
        db.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order.order_id, order.status, order.version))


def closed(order):
    """Why nothing can be done for an order any more, if so."""
    if order.status == "cancelled":
        return contract.Refused(f"{order.order_id} is cancelled", "order_cancelled")
    return None


def final(order):
    """Why nothing of an order can be undone any more, if so."""
    if order.status == "confirmed":
        return contract.Refused(f"{order.order_id} is confirmed: a person has to decide", "order_confirmed")
    return None
