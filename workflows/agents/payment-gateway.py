"""payment-gateway: takes the price of an order from a card, and gives it back."""

import hashlib

import cards
import shop


def process_payment(db, call):
    order = call.inputs["order"]
    amount = shop.cents(order["total_amount"])
    if amount is None:
        raise shop.Refused(f"{order['total_amount']} is no amount in dollars and cents", "invalid_amount")
    paid = "SELECT 1 FROM payments WHERE run = ? AND order_id = ? AND status = 'captured' AND key <> ?"
    if db.execute(paid, (call.run, order["order_id"], call.key)).fetchone():
        raise shop.Refused(f"{order['order_id']} is paid, and nobody wrote that it was paid back", "already_paid")
    cards.charge(db, call, order["card"], amount)
    return keep(db, call)


@shop.once
def keep(db, call):
    order = call.inputs["order"]
    amount = shop.cents(order["total_amount"])
    transaction_id = f"TXN-{hashlib.sha256(call.key.encode()).hexdigest()[:12].upper()}"
    row = (call.key, call.run, order["order_id"], transaction_id, amount)
    db.execute("INSERT INTO payments VALUES (?, ?, ?, ?, ?, 'captured')", row)
    payment = {"transaction_id": transaction_id, "amount": shop.dollars(amount), "status": "completed"}
    return {"payment": payment, "amount_usd": shop.dollars(amount)}


shop.serve(ProcessPayment=process_payment, RefundPayment=cards.refund)
