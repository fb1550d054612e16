"""Payments in the ledger: takes them from cards, accounts and by bank transfer, and returns them."""

import time

import books
import contract
import ledger

# How often it looks whether a transfer has arrived, in seconds.
GLANCE = 0.1


def paid_for(call):
    return call.inputs["payment_request"]["order_id"]


@ledger.command(paid_for)
def process_payment(db, call, order):
    request = call.inputs["payment_request"]
    completed, refunded = order.last("PaymentCompleted"), order.last("PaymentRefunded")
    if completed and not refunded:
        return {"payment": {**completed[1], "order_id": order.order_id}, "known": True}, []
    if ledger.closed(order):
        return ledger.closed(order), []
    refusal = take(db, call, request)
    if refusal:
        failed = order.last("PaymentFailed")
        return refusal, [] if failed else [("PaymentFailed", {"reason": str(refusal)})]
    payment = {"payment_id": f"pay-{call.key[:12]}", "amount": request["amount"]}
    return {"payment": {**payment, "order_id": order.order_id}}, [("PaymentCompleted", payment)]


def take(db, call, request):
    """Takes the money, once for a key; returns why not, where asking again is no use."""
    amount = round(request["amount"] * 100)
    account = None
    if request["method"] == "bank_transfer":
        wait(db, request["order_id"])
    else:
        what = "account" if request["method"] == "paypal" else "card"
        account = request.get(what)
        found = issuer(db, account)
        if found is None:
            return contract.Refused(f"nobody knows this {what}", f"unknown_{what}")
        if not found["reachable"]:
            raise contract.Busy(f"the bank {found['bank']} cannot be reached", "bank_unreachable")
        if found["credit"] < amount:
            return contract.Refused(f"the {what} does not cover the amount", f"{what}_declined")
    with db:
        books.begin(db)
        books.refuse_undone(db, call)
        row = (call.key, request["order_id"], account, amount)
        db.execute("INSERT OR IGNORE INTO charges VALUES (?, ?, ?, ?, 'captured')", row)
    return None


def issuer(db, account):
    """The bank of an account, and what it is good for."""
    query = "SELECT * FROM accounts JOIN banks USING (bank) WHERE account = ?"
    return db.execute(query, (account,)).fetchone()


def wait(db, order_id):
    """Waits until a transfer has arrived. That may take longer than the order has time."""
    while not db.execute("SELECT 1 FROM transfers WHERE order_id = ?", (order_id,)).fetchone():
        time.sleep(GLANCE)


@ledger.command(paid_for)
def refund_payment(db, call, order):
    """Returns what was taken under the forward key, if anything was."""
    if ledger.final(order):
        return ledger.final(order), []
    with db:
        books.begin(db)
        charge = db.execute("SELECT * FROM charges WHERE key = ?", (call.forward_key,)).fetchone()
        if charge is None:
            return {"refund": {"amount": 0}}, []
        bank = issuer(db, charge["account"])
        if bank and not bank["takes_refunds"]:
            raise contract.Busy(f"the bank {bank['bank']} does not take refunds now", "refund_rejected")
        db.execute("UPDATE charges SET status = 'refunded' WHERE key = ?", (call.forward_key,))
    refund = {"amount": charge["amount"] / 100}
    return {"refund": refund}, [] if order.last("PaymentRefunded") else [("PaymentRefunded", refund)]


contract.serve(ledger.connect, ProcessPayment=process_payment, RefundPayment=refund_payment)
