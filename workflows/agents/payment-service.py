"""payment-service: charges cards through a gateway and keeps the receipts."""

import shop

# The cards that the gateway knows, by token; as every gateway it has some for trying things out.
CARDS = {
    "tok_visa": "approved",
    "tok_mastercard": "approved",
    "tok_amex": "approved",
    "tok_declined": "declined",
    "tok_busy": "busy",
}


def process_payment(db, call):
    """Charges the card, then writes the receipt.

    A crash in between loses nothing: the next attempt has the same key, by which the gateway knows the
    charge that it has made.
    """
    charge(db, call)
    return keep_receipt(db, call)


def charge(db, call):
    """The gateway's side: counts the calls of a key in a transaction of its own, and judges the card."""
    with db:
        shop.begin(db)
        db.execute("INSERT INTO gateway VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET calls = calls + 1", (call.key,))
        calls = db.execute("SELECT calls FROM gateway WHERE key = ?", (call.key,)).fetchone()["calls"]
    order = call.inputs["validated_order"]
    answer = CARDS.get(order["payment"]["token"], "unknown")
    if answer == "busy" and calls == 1:
        raise shop.Busy("the gateway is busy, try again", "gateway_busy", amount_usd=order["total"])
    if answer in ("declined", "unknown"):
        raise shop.Refused(f"the card was {answer}", f"card_{answer}", amount_usd=order["total"])


@shop.once
def keep_receipt(db, call):
    order = call.inputs["validated_order"]
    receipt = shop.numbered("receipt", order["id"])
    db.execute(
        "INSERT INTO payments VALUES (?, ?, ?, ?, 'captured')",
        (call.run, order["id"], receipt, shop.cents(order["total"])),
    )
    result = {"id": receipt, "order_id": order["id"], "amount": order["total"]}
    return {"payment_result": result, "amount_usd": order["total"]}


shop.serve(ProcessPayment=process_payment)
