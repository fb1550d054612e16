"""Goods on the shelves, and those set aside for orders."""

import hashlib

import shop


def wanted(lines):
    """How many of each article these lines come to."""
    total = {}
    for line in lines:
        total[line["sku"]] = total.get(line["sku"], 0) + line["quantity"]
    return total


def reserve(db, call, order_id, lines):
    """Takes the goods of an order from the shelves: all of them or none. The reservations, one an article."""
    held = []
    for sku, quantity in wanted(lines).items():
        # Another order may have been quicker since somebody looked, so it is the shelf that decides.
        taken = db.execute(
            "UPDATE stock SET on_hand = on_hand - ?1 WHERE run = ?2 AND sku = ?3 AND on_hand >= ?1",
            (quantity, call.run, sku),
        )
        if not taken.rowcount:
            there = db.execute("SELECT on_hand FROM stock WHERE run = ? AND sku = ?", (call.run, sku)).fetchone()
            there = f"{there['on_hand']} on the shelf" if there else "not in the catalogue"
            raise shop.Refused(f"{sku}: {quantity} wanted, {there}", "out_of_stock")
        # From the key: a repeated attempt makes the same reservation, and no two share a name.
        reservation_id = f"RES-{hashlib.sha256(f'{call.key} {sku}'.encode()).hexdigest()[:12].upper()}"
        row = (reservation_id, call.key, call.run, order_id, sku, quantity, "held")
        db.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        held.append({"sku": sku, "quantity": quantity, "reservation_id": reservation_id})
    return held


@shop.undo
def release(db, call):
    """Puts back on the shelves what was set aside under the forward key: maybe nothing."""
    held = "FROM reservations WHERE key = ? AND status = 'held'"
    rows = db.execute(f"SELECT quantity, run, sku, reservation_id {held}", (call.forward_key,)).fetchall()
    for row in rows:
        db.execute("UPDATE stock SET on_hand = on_hand + ? WHERE run = ? AND sku = ?", tuple(row)[:3])
        db.execute("UPDATE reservations SET status = 'released' WHERE reservation_id = ?", (row["reservation_id"],))
    return {"released": sum(row["quantity"] for row in rows)}
