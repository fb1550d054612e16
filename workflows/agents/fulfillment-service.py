"""fulfillment-service: chooses a carrier and makes the shipping label."""

import carriers
import shop


@shop.once
def create_shipment(db, call):
    reservation = call.inputs["reservation"]
    order_id = reservation["order_id"]
    where = (call.run, order_id)
    order = db.execute("SELECT country FROM orders WHERE run = ? AND order_id = ?", where).fetchone()
    if order is None:
        raise shop.Refused(f"{order_id} is not in the books", "unknown_order")
    carrier, tracking_number, _ = carriers.announce(db, call, order_id, order["country"], reservation["grams"])
    db.execute("UPDATE orders SET status = 'shipped' WHERE run = ? AND order_id = ?", where)
    return {"tracking_number": tracking_number, "carrier": carrier}


shop.serve(CreateShipment=create_shipment)
