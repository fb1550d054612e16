"""delivery-api: hears of orders, brings them to their customers, and tells how far it has come."""

import books
import contract
import events

SOURCE = "delivery-service"
# Who carries what stays in the country, and who carries the rest, with the prefix of their numbers.
HOME = ("FedEx", "FX")
ABROAD = ("DHL", "JD")


@books.once
def create_shipment(db, call):
    event = call.inputs["order_created"]
    data = event["data"]
    shipment_id = f"ship_{data['order_id']}"
    if events.accept(db, event):
        place = data["ship_to"]
        db.execute(
            "INSERT INTO shipments (shipment_id, order_id, country, leave_at, status) VALUES (?, ?, ?, ?, ?)",
            (shipment_id, data["order_id"], place["country"], place["leave_at"], data["status"]),
        )
        db.executemany(
            "INSERT INTO parcels VALUES (?, ?, ?)",
            [(shipment_id, item["product_id"], item["quantity"]) for item in data["items"]],
        )
    shipment = {"id": shipment_id, "order_id": data["order_id"], "status": data["status"]}
    return {"shipment": shipment, "shipment_status": data["status"]}


@books.once
def ship(db, call):
    """Hands the parcels to a carrier, who gives them a number."""
    shipment = find(db, call.inputs["shipment"], "PENDING_SHIPMENT")
    carrier, prefix = HOME if shipment["country"] == "US" else ABROAD
    tracking_number = f"{prefix}{events.digest(call.key).upper()}"
    update = {"tracking_number": tracking_number, "carrier": carrier}
    return tell(db, call, shipment, "shipped_parcel", "SHIPPED", update)


@books.once
def deliver(db, call):
    """Leaves the parcels where the customer wants them."""
    shipment = find(db, call.inputs["shipped_parcel"], "SHIPPED")
    update = {"delivered_at": events.now(), "delivery_location": shipment["leave_at"]}
    return tell(db, call, shipment, "delivered_parcel", "DELIVERED", update)


def find(db, shipment, status):
    """The shipment as it stands in the books, where it must have this status."""
    row = db.execute("SELECT * FROM shipments WHERE shipment_id = ?", (shipment["id"],)).fetchone()
    if row is None or row["status"] != status:
        raise contract.Refused(f"{shipment['id']} is {row['status'] if row else 'unknown'}, not {status}", "out_of_order")
    return row


def tell(db, call, shipment, output, status, update):
    """Changes the shipment, and announces that in the same transaction."""
    columns = {"status": status, **update}
    setting = ", ".join(f"{column} = ?" for column in columns)
    db.execute(f"UPDATE shipments SET {setting} WHERE shipment_id = ?", (*columns.values(), shipment["shipment_id"]))
    told = {"order_id": shipment["order_id"], "previous_status": shipment["status"], "current_status": status, **update}
    event_id = events.announce(db, call, SOURCE, "order.status_updated", status.lower(), told)
    parcel = {
        "id": shipment["shipment_id"],
        "order_id": shipment["order_id"],
        "status": status,
        "event_id": event_id,
    }
    return {output: parcel, "shipment_status": status, **update}


contract.serve(
    books.opener("DELIVERY_DB", "delivery"),
    CreateShipment=create_shipment,
    Ship=ship,
    PublishOrderShipped=events.publish("shipped_parcel", "order_shipped"),
    Deliver=deliver,
    PublishOrderDelivered=events.publish("delivered_parcel", "order_delivered"),
)
