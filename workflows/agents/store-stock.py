"""The store's warehouse: sets products aside for orders, puts them back, and sends them on their way."""

import hashlib

import books
import contract
import store


def check_inventory(db, call):
    """Sets aside what an order asks for, one product after the other, as warehouses do that lie apart.

    Each is a transaction of its own. Where one is short, what has been set aside for the others is put back before
    the answer: an order that is refused holds nothing.
    """
    order = call.inputs["validated_order"]
    with db:
        books.begin(db)
        known = books.answered(db, call.key)
        store.open_day(db, call.run)
    if known is not None:
        return known
    for line in order["items"]:
        available = reserve(db, call, order["id"], line["product_id"], int(line["quantity"]))
        if available is not None:
            with db:
                books.begin(db)
                release(db, call.run, call.key)
            message = f"insufficient stock for {line['product_id']}: {line['quantity']} wanted, {available} there"
            raise contract.Refused(message, "insufficient_stock", requested=line["quantity"], available=available)
    return conclude(db, call)


def reserve(db, call, order_id, product_id, quantity):
    """Sets one product aside, once for a key; returns how many there are where that is too few."""
    with db:
        books.begin(db)
        books.refuse_undone(db, call)
        own = (call.key, product_id)
        if db.execute("SELECT 1 FROM reservations WHERE key = ? AND product_id = ? AND status = 'held'", own).fetchone():
            return None
        taken = db.execute(
            "UPDATE stock SET available = available - ?1 WHERE run = ?2 AND product_id = ?3 AND available >= ?1",
            (quantity, call.run, product_id),
        )
        if taken.rowcount:
            row = (call.run, order_id, product_id, quantity, call.key)
            db.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?, 'held')", row)
            return None
        there = db.execute("SELECT available FROM stock WHERE run = ? AND product_id = ?", (call.run, product_id))
        return (there.fetchone() or [0])[0]


@books.once
def conclude(db, call):
    order = call.inputs["validated_order"]
    value = sum(line["price"] * line["quantity"] for line in order["items"])
    reservation = {
        "id": f"RES-{order['id']}",
        "order_id": order["id"],
        "items": [{"product_id": line["product_id"], "quantity": line["quantity"]} for line in order["items"]],
        "value": value,
    }
    return {"reservation": reservation, "reserved_items": len(order["items"])}


def release(db, run, key):
    """Puts back what is set aside under a key; returns the products."""
    held = "FROM reservations WHERE key = ? AND status = 'held'"
    rows = db.execute(f"SELECT product_id, quantity {held}", (key,)).fetchall()
    for product_id, quantity in rows:
        there = (quantity, run, product_id)
        db.execute("UPDATE stock SET available = available + ? WHERE run = ? AND product_id = ?", there)
    db.execute("UPDATE reservations SET status = 'released' WHERE key = ? AND status = 'held'", (key,))
    return [{"product_id": product_id, "quantity": quantity} for product_id, quantity in rows]


@books.undo
def release_inventory(db, call):
    """Puts back all that the forward key has set aside, also if its step was cut off halfway."""
    items = release(db, call.run, call.forward_key)
    return {"released": {"items": items}, "compensation_status": "success" if items else "no_reservation_to_release"}


@books.once
def fulfill_order(db, call):
    """Makes shipment and label, and takes the products out of the store."""
    order, reservation = call.inputs["validated_order"], call.inputs["reservation"]
    order_id, address = order["id"], order.get("shipping_info") or {}
    found = db.execute("SELECT carrier FROM carriers WHERE country = ?", (address.get("country"),)).fetchone()
    if found is None:
        raise contract.Refused(f"no carrier goes to {address.get('country')}", "no_carrier")
    carrier = found["carrier"]
    tracking_number = f"{carrier}-{hashlib.sha256(call.key.encode()).hexdigest()[:10].upper()}"
    label = "\n".join([order.get("customer_name") or order["customer_id"], *map(str, address.values())])
    row = (call.run, order_id, carrier, tracking_number, label)
    db.execute("INSERT INTO shipments VALUES (?, ?, ?, ?, ?, 'label_created')", row)
    db.execute(
        "UPDATE reservations SET status = 'shipped' WHERE run = ? AND order_id = ? AND status = 'held'",
        (call.run, reservation["order_id"]),
    )
    shipment = {"id": f"SHIP-{order_id}", "carrier": carrier, "tracking_number": tracking_number, "status": "label_created"}
    return {"shipment": shipment, "carrier": carrier}


contract.serve(
    store.connect, CheckInventory=check_inventory, ReleaseInventory=release_inventory, FulfillOrder=fulfill_order
)
