"""shipping-provider: announces parcels to carriers, and calls them off."""

import datetime
import hashlib

import carriers
import goods
import shop


@shop.once
def create_shipment(db, call):
    order = call.inputs["order"]
    grams = sum(
        quantity * db.execute("SELECT grams FROM catalogue WHERE sku = ?", (sku,)).fetchone()["grams"]
        for sku, quantity in goods.wanted(call.inputs["reserved_items"]).items()
    )
    carrier, tracking_number, days = carriers.announce(db, call, order["order_id"], order["country"], grams)
    shipment = {
        "shipment_id": f"SHIP-{hashlib.sha256(call.key.encode()).hexdigest()[:12].upper()}",
        "tracking_number": tracking_number,
        "estimated_delivery": str(datetime.date.today() + datetime.timedelta(days=days)),
    }
    return {"shipment": shipment, "carrier": carrier}


shop.serve(CreateShipment=create_shipment, CancelShipment=carriers.cancel)
