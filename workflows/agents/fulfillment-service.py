"""fulfillment-service: chooses a carrier and makes the shipping label."""

import hashlib

import shop

# The lightest carrier that takes a parcel within the country: its limit in grams, its prefix of labels.
CARRIERS = [("USPS", 2500, "94"), ("UPS", 5000, "1Z"), ("FedEx", None, "FX")]
ABROAD = ("DHL", None, "JD")


@shop.once
def create_shipment(db, call):
    reservation = call.inputs["reservation"]
    order_id = reservation["order_id"]
    where = (call.run, order_id)
    order = db.execute("SELECT country FROM orders WHERE run = ? AND order_id = ?", where).fetchone()
    if order is None:
        raise shop.Refused(f"{order_id} is not in the books", "unknown_order")
    carrier, prefix = choose(order["country"], reservation["grams"])
    # From the key: the label of a repeated attempt is the same label, and no two runs share one.
    tracking_number = prefix + hashlib.sha256(call.key.encode()).hexdigest()[:14].upper()
    db.execute("INSERT INTO shipments VALUES (?, ?, ?, ?)", (*where, carrier, tracking_number))
    db.execute("UPDATE orders SET status = 'shipped' WHERE run = ? AND order_id = ?", where)
    return {"tracking_number": tracking_number, "carrier": carrier}


def choose(country, grams):
    """The carrier and its prefix."""
    if country != "US":
        return ABROAD[0], ABROAD[2]
    return next((name, prefix) for name, limit, prefix in CARRIERS if limit is None or grams <= limit)


shop.serve(CreateShipment=create_shipment)
