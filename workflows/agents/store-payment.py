"""The store's till: charges cards through a gateway, gives the money back, and keeps the receipts."""

import books
import contract
import store

# What the gateway takes of a payment, in parts of ten thousand.
FEE = 290
REASONS = {
    "card_declined": "the card was declined",
    "expired_card": "the card has expired",
    "gateway_error": "the gateway could not do it",
}


def process_payment(db, call):
    """Charges the card, then writes the receipt.

    A crash or a lost answer in between loses nothing: the next attempt has the same key, by which the gateway
    knows the charge that it has made.
    """
    charge(db, call)
    return keep_receipt(db, call)


def charge(db, call):
    """The gateway's side, in transactions of its own: counts the calls of a key, and judges the card."""
    order = call.inputs["validated_order"]
    card = (order.get("payment_info") or {}).get("card_last4")
    if not card:
        raise contract.Refused("the order names no card", "no_payment_info", retry_recommended=False)
    amount = int(round(call.inputs["total_amount"] * 100))
    with db:
        books.begin(db)
        books.refuse_undone(db, call)
        row = (call.key, call.run, order["id"], amount)
        db.execute("INSERT INTO charges VALUES (?, ?, ?, ?, 1, 'refused') ON CONFLICT (key) DO UPDATE SET calls = calls + 1", row)
        calls = db.execute("SELECT calls FROM charges WHERE key = ?", (call.key,)).fetchone()["calls"]
        found = db.execute("SELECT verdict, retryable, lost FROM cards WHERE last4 = ?", (card,)).fetchone()
        verdict, retryable, lost = found or ("approved", False, 0)
        if verdict == "approved" or retryable and calls > 1:
            db.execute("UPDATE charges SET status = 'captured' WHERE key = ? AND status = 'refused'", (call.key,))
            verdict = "approved"
    if verdict != "approved":
        refusal = contract.Busy if retryable else contract.Refused
        raise refusal(REASONS[verdict], verdict, retry_recommended=bool(retryable))
    if calls <= lost:
        raise contract.Unknown("the gateway did not answer in time", "gateway_timeout", retry_recommended=True)


@books.once
def keep_receipt(db, call):
    order = call.inputs["validated_order"]
    charged = db.execute("SELECT amount FROM charges WHERE key = ?", (call.key,)).fetchone()["amount"]
    fee = round(charged * FEE / 10000)
    payment_id = f"PAY-{order['id']}"
    row = (call.run, order["id"], payment_id, charged, fee)
    # An order whose payment was given back may be paid anew.
    again = "ON CONFLICT (run, order_id) DO UPDATE SET amount = excluded.amount, fee = excluded.fee, status = 'charged' WHERE status = 'refunded'"
    db.execute(f"INSERT INTO payments VALUES (?, ?, ?, ?, ?, 'charged') {again}", row)
    payment = {
        "id": payment_id,
        "transaction_id": f"TXN-{call.key[-12:]}",
        "amount_charged": charged / 100,
        "gateway_fee": fee / 100,
        "payment_method": order["payment_info"].get("method", "credit_card"),
    }
    return {"payment": payment, "amount_usd": charged / 100}


@books.undo
def refund_payment(db, call):
    """Gives back what was charged under the forward key, whether an answer ever came or not, and tells the customer."""
    order = call.inputs["validated_order"]
    key = (call.forward_key,)
    taken = db.execute("SELECT amount FROM charges WHERE key = ? AND status = 'captured'", key).fetchone()
    if taken is None:
        return {"refund": {"amount": 0}, "compensation_status": "no_payment_to_refund"}
    amount = taken["amount"] / 100
    db.execute("UPDATE charges SET status = 'refunded' WHERE key = ?", key)
    whose = (call.run, order["id"])
    db.execute("UPDATE payments SET status = 'refunded' WHERE run = ? AND order_id = ?", whose)
    customer = db.execute("SELECT email FROM customers WHERE customer_id = ?", (order["customer_id"],)).fetchone()
    if customer:
        letter = ("Your payment comes back", f"We could not fulfil {order['id']} and have returned {amount:.2f} USD.")
        db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", (*whose, customer["email"], *letter))
    return {"refund": {"id": f"REF-{order['id']}", "amount": amount}, "compensation_status": "success"}


contract.serve(store.connect, ProcessPayment=process_payment, RefundPayment=refund_payment)
