"""delivery-api: hears of orders, brings them to their customers, and reports how far it is."""

import datetime
import hashlib

import books
import contract
import service

DATABASE = "delivery-db"
# Who carries what stays in the country, and who carries the rest, with the prefix of their numbers.
HOME = ("FedEx", "FX")
ABROAD = ("DHL", "JD")


@books.once
def create_shipment(db, call):
    order = call.inputs["order_created"]
    shipment_id, place, status = f"ship_{order['order_id']}", order["ship_to"], order["status"]
    call.sent(DATABASE, "INSERT shipment")
    # Another event of the same order changes nothing.
    new = db.execute(
        "INSERT OR IGNORE INTO shipments (shipment_id, order_id, country, leave_at, status) VALUES (?, ?, ?, ?, ?)",
        (shipment_id, order["order_id"], place["country"], place["leave_at"], status),
    )
    if new.rowcount:
        db.executemany(
            "INSERT INTO parcels VALUES (?, ?, ?)",
            [(shipment_id, item["product_id"], item["quantity"]) for item in order["items"]],
        )
    return {"shipment": {"id": shipment_id, "order_id": order["order_id"]}, "shipment_status": status}


@books.once
def ship(db, call):
    """Hands the parcels to a carrier, which gives them a number."""
    call.sent("delivery-api", "Process shipment: SHIPPED")
    shipment = find(db, call, "PENDING_SHIPMENT")
    carrier, prefix = HOME if shipment["country"] == "US" else ABROAD
    number = hashlib.sha256(call.key.encode()).hexdigest()[:12].upper()
    return update(db, call, shipment, "shipped", {"tracking_number": f"{prefix}{number}", "carrier": carrier})


@books.once
def deliver(db, call):
    """Leaves the parcels where the customer wants them."""
    call.sent("delivery-api", "Package delivered: DELIVERED")
    shipment = find(db, call, "SHIPPED")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return update(db, call, shipment, "delivered", {"delivered_at": now, "delivery_location": shipment["leave_at"]})


def find(db, call, status):
    """The shipment as it is in the books, where it must have this status."""
    id = call.inputs["shipment"]["id"]
    row = db.execute("SELECT * FROM shipments WHERE shipment_id = ?", (id,)).fetchone()
    if row is None or row["status"] != status:
        raise contract.Refused(f"{id} is {row['status'] if row else 'unknown'}, not {status}", "out_of_order")
    return row


def update(db, call, shipment, output, changes):
    """Changes the shipment; the output is the event about it."""
    status = output.upper()
    columns = {"status": status, **changes}
    setting = ", ".join(f"{column} = ?" for column in columns)
    call.sent(DATABASE, f'UPDATE shipment (status="{status}", {", ".join(changes)})')
    db.execute(f"UPDATE shipments SET {setting} WHERE shipment_id = ?", (*columns.values(), shipment["shipment_id"]))
    event = {"order_id": shipment["order_id"], "previous_status": shipment["status"], "current_status": status, **changes}
    return {output: event, "shipment_status": status}


service.serve(
    books.opener("DELIVERY_DB", "delivery"),
    {"/shipments": create_shipment, "/shipments/ship": ship, "/shipments/deliver": deliver},
)
