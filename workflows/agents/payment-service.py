"""payment-service: charges cards through a gateway and keeps the receipts."""

import cards
import shop


def process_payment(db, call):
    """Charges the card, then writes the receipt.

    A crash in between loses nothing: the next attempt has the same key, by which the gateway knows the
    charge that it has made.
    """
    order = call.inputs["validated_order"]
    cards.charge(db, call, order["payment"]["token"], shop.cents(order["total"]))
    return keep_receipt(db, call)


@shop.once
def keep_receipt(db, call):
    order = call.inputs["validated_order"]
    receipt = shop.numbered("receipt", order["id"])
    row = (call.key, call.run, order["id"], receipt, shop.cents(order["total"]))
    db.execute("INSERT INTO payments VALUES (?, ?, ?, ?, ?, 'captured')", row)
    result = {"id": receipt, "order_id": order["id"], "amount": order["total"]}
    return {"payment_result": result, "amount_usd": order["total"]}


shop.serve(ProcessPayment=process_payment, RefundPayment=cards.refund)
