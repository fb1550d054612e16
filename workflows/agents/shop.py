"""The shop's books: the file that SHOP_DB names, else .data/shop.db beside the workflows.

A run is a day in the shop: its first agent fills the shelves from the catalogue, and every row belongs to
a run. Stock is real and can run out within a day; the next run finds the shop as this one found it.
"""

from decimal import Decimal

import books
import contract
from books import begin, forbid, refuse_undone
from contract import Busy, Refused, Unknown

__all__ = [
    *("Busy", "Refused", "Unknown", "begin", "cents", "dollars", "forbid", "numbered"),
    *("once", "refuse_undone", "serve", "undo"),
]


def serve(**steps):
    """Answers the calls that come; `steps` are functions of (db, call) by phase."""
    contract.serve(books.opener("SHOP_DB", "shop"), **steps)


def once(effect):
    """Makes `effect(db, call)` happen once for each idempotency key, on a day that has begun."""
    return books.once(within_a_day(effect))


def undo(effect):
    """Makes `effect(db, call)` the undoing of what was done under the call's forward key, once."""
    return books.undo(within_a_day(effect))


def within_a_day(effect):
    """Fills the shelves first when the run is a new one."""

    def act(db, call):
        if db.execute("INSERT OR IGNORE INTO days (run) VALUES (?)", (call.run,)).rowcount:
            db.execute("INSERT INTO stock SELECT ?, sku, shelf, supplier FROM catalogue", (call.run,))
        return effect(db, call)

    return act


def cents(amount):
    """An amount in cents; None where it is none: no number, finer than a cent, not above zero, absurdly large."""
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        return None
    exact = Decimal(amount) * 100
    return int(exact) if 1 <= exact < 10**12 and exact == int(exact) else None


def dollars(amount):
    """Cents as a Decimal with two digits."""
    return Decimal(amount).scaleb(-2)


def numbered(kind, order_id):
    """The name of what belongs to an order: the receipt of order_007 is receipt_007."""
    prefix = "order_"
    return f"{kind}_{order_id[len(prefix):] if order_id.startswith(prefix) else order_id}"
