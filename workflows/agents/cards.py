"""Cards, and the gateway that charges them.

The gateway is a system of its own: it is asked in a transaction apart from the shop's receipts. A crash in between
loses nothing, for it knows by the key what it has charged already.
"""

import shop

# The cards that the gateway knows, by token; as every gateway it has some for trying things out.
CARDS = {
    "tok_visa": "approved",
    "tok_mastercard": "approved",
    "tok_amex": "approved",
    "tok_declined": "declined",
    "tok_busy": "busy",
    "tok_closing": "approved",  # its account is closed before anything can be refunded
}


def charge(db, call, token, amount):
    """Takes the amount, in cents, from the card: once, however often it is asked with one key."""
    with db:
        shop.begin(db)
        shop.refuse_undone(db, call)
        row = (call.key, token)
        db.execute(
            "INSERT INTO gateway (key, calls, card) VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET calls = calls + 1", row
        )
        calls = db.execute("SELECT calls FROM gateway WHERE key = ?", (call.key,)).fetchone()["calls"]
        answer = CARDS.get(token, "unknown")
        if answer == "busy" and calls > 1:
            answer = "approved"
        if answer == "approved":
            db.execute("UPDATE gateway SET charged = ? WHERE key = ?", (amount, call.key))
    if answer == "busy":
        raise shop.Busy("the gateway is busy, try again", "gateway_busy", amount_usd=shop.dollars(amount))
    if answer != "approved":
        raise shop.Refused(f"the card was {answer}", f"card_{answer}", amount_usd=shop.dollars(amount))


@shop.undo
def refund(db, call):
    """Gives back what the gateway has charged under the forward key: maybe nothing, or without a receipt."""
    row = db.execute("SELECT card, charged FROM gateway WHERE key = ?", (call.forward_key,)).fetchone()
    amount = row["charged"] if row else 0
    if amount and row["card"] == "tok_closing":
        raise shop.Refused("the account of the card is closed", "refund_failed", amount_usd=shop.dollars(amount))
    db.execute("UPDATE gateway SET refunded = charged WHERE key = ?", (call.forward_key,))
    db.execute("UPDATE payments SET status = 'refunded' WHERE key = ?", (call.forward_key,))
    return {"refunded": shop.dollars(amount)}
