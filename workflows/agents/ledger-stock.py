"""Inventory in the ledger: holds products for orders, and lets them go."""

import books
import contract
import ledger


def wanted(call):
    return call.inputs["placed_order"]["order_id"]


@ledger.command(wanted)
def reserve_inventory(db, call, order):
    """Holds the products one after the other, as they lie in different places.

    Where one is short, those before it are held by then: that is for *Release Inventory* to undo, so the answer says
    that there may have been an effect.
    """
    known = order.last("InventoryReserved")
    if known:
        return {"reservation": {**known[1], "order_id": order.order_id}, "known": True}, []
    if ledger.closed(order):
        return ledger.closed(order), []
    items = call.inputs["placed_order"]["items"]
    for place, line in enumerate(items):
        available = hold(db, call, order.order_id, line)
        if available is None:
            continue
        refusal = contract.Refused(f"{line['product_id']}: {line['quantity']} wanted, {available} there", "out_of_stock")
        refusal.answer["error"]["outcome"] = "unknown" if place else "failed"
        failed = {**line, "available": available}
        return refusal, [] if order.last("InventoryReservationFailed") else [("InventoryReservationFailed", failed)]
    reservation = {"reservation_id": f"res-{call.key[:12]}", "items": items}
    return {"reservation": {**reservation, "order_id": order.order_id}}, [("InventoryReserved", reservation)]


def hold(db, call, order_id, line):
    """Holds one product, once for a key; returns how many there are where that is too few."""
    with db:
        books.begin(db)
        books.refuse_undone(db, call)
        own = (call.key, line["product_id"])
        if db.execute("SELECT 1 FROM reservations WHERE key = ? AND product_id = ?", own).fetchone():
            return None
        taken = db.execute(
            "UPDATE stock SET available = available - ?1 WHERE product_id = ?2 AND available >= ?1",
            (line["quantity"], line["product_id"]),
        )
        if taken.rowcount:
            row = (call.key, order_id, line["product_id"], line["quantity"])
            db.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, 'held')", row)
            return None
        there = db.execute("SELECT available FROM stock WHERE product_id = ?", (line["product_id"],)).fetchone()
        return (there or [0])[0]


@ledger.command(wanted)
def release_inventory(db, call, order):
    """Lets go of what is held under the forward key, all of it or a part."""
    if ledger.final(order):
        return ledger.final(order), []
    key = (call.forward_key,)
    with db:
        books.begin(db)
        held = "SELECT product_id, quantity FROM reservations WHERE key = ? AND status = 'held'"
        for product_id, quantity in db.execute(held, key).fetchall():
            db.execute("UPDATE stock SET available = available + ? WHERE product_id = ?", (quantity, product_id))
        db.execute("UPDATE reservations SET status = 'released' WHERE key = ?", key)
    rows = db.execute("SELECT product_id, quantity FROM reservations WHERE key = ? ORDER BY 1", key).fetchall()
    items = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in rows]
    told = not items or order.last("InventoryReleased")
    return {"released": items}, [] if told else [("InventoryReleased", {"released": items})]


contract.serve(ledger.connect, ReserveInventory=reserve_inventory, ReleaseInventory=release_inventory)
