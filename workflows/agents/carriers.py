"""Carriers, where they go, and the labels that they put on parcels."""

import hashlib

import shop

# The lightest carrier that takes a parcel within the country: its limit in grams, its prefix of labels.
CARRIERS = [("USPS", 2500, "94"), ("UPS", 5000, "1Z"), ("FedEx", None, "FX")]
ABROAD = ("DHL", "JD")


def announce(db, call, order_id, country, grams):
    """Announces a parcel to the carrier that suits it: the carrier, the tracking number, the days that it takes."""
    place = db.execute("SELECT days FROM destinations WHERE country = ?", (country,)).fetchone()
    if place is None:
        raise shop.Refused(f"no carrier goes to {country}", "no_carrier")
    carrier, prefix = choose(country, grams)
    # From the key: the label of a repeated attempt is the same label, and no two runs share one.
    tracking_number = prefix + hashlib.sha256(call.key.encode()).hexdigest()[:14].upper()
    row = (call.key, call.run, order_id, carrier, tracking_number)
    db.execute("INSERT INTO shipments VALUES (?, ?, ?, ?, ?, 'announced')", row)
    return carrier, tracking_number, place["days"]


def choose(country, grams):
    """The carrier and its prefix."""
    if country != "US":
        return ABROAD
    return next((name, prefix) for name, limit, prefix in CARRIERS if limit is None or grams <= limit)


@shop.undo
def cancel(db, call):
    """Calls off the parcel that was announced under the forward key: maybe none."""
    announced = "UPDATE shipments SET status = 'cancelled' WHERE key = ? AND status = 'announced'"
    return {"parcels_cancelled": db.execute(announced, (call.forward_key,)).rowcount}
