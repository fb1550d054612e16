"""Orders in the ledger: creates, confirms and cancels them, opens and closes their payments, and tells people."""

from decimal import Decimal

import books
import contract
import ledger

REQUIRED = ("order_id", "customer_id", "shipping_address", "payment")


def faults(order):
    """All that is wrong with an order."""
    if not isinstance(order, dict):
        return ["an order is an object"]
    problems = [f"{field} is missing" for field in REQUIRED if not order.get(field)]
    items = order.get("items")
    if not isinstance(items, list) or not items:
        return [*problems, "items is missing"]
    for place, line in enumerate(items):
        line = line if isinstance(line, dict) else {}
        quantity, price = line.get("quantity"), line.get("unit_price")
        if not line.get("product_id"):
            problems.append(f"items[{place}].product_id is missing")
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 1:
            problems.append(f"items[{place}].quantity is {quantity}, not a whole number above zero")
        if isinstance(price, bool) or not isinstance(price, (int, Decimal)) or price <= 0:
            problems.append(f"items[{place}].unit_price is {price}, not an amount")
    if len({line.get("product_id") for line in items if isinstance(line, dict)}) < len(items):
        problems.append("items names a product twice")
    return problems


def order_id(call):
    order = call.inputs["order"]
    return str(order.get("order_id")) if isinstance(order, dict) else ""


@ledger.command(order_id)
def create_order(db, call, order):
    """Opens the stream; an order that is there already is the same order, whoever sends it again."""
    given = call.inputs["order"]
    problems = faults(given)
    if problems:
        return contract.Refused("; ".join(problems), "invalid_order"), []
    total = sum(line["quantity"] * line["unit_price"] for line in given["items"])
    placed = {
        "order_id": given["order_id"],
        "customer_id": given["customer_id"],
        "items": [{"product_id": line["product_id"], "quantity": line["quantity"]} for line in given["items"]],
        "total": total,
        "payment": given["payment"],
    }
    answer = {"placed_order": placed, "amount_usd": total}
    if not order.version:
        created = {"customer_id": given["customer_id"], "items": placed["items"], "total": total}
        return answer, [("OrderCreated", created)]
    if order.data["items"] != placed["items"]:
        return contract.Refused(f"{order.order_id} is another order already", "order_differs"), []
    return ledger.closed(order) or {**answer, "known": True}, []


def placed(call):
    return call.inputs["placed_order"]["order_id"]


@ledger.command(placed)
def start_payment(db, call, order):
    refusal = ledger.closed(order)
    if refusal:
        return refusal, []
    given = call.inputs["placed_order"]
    request = {"order_id": order.order_id, **given["payment"], "amount": given["total"]}
    events = [("PaymentProcessing", {"amount": request["amount"]})] if order.status == "pending" else []
    return {"payment_request": request}, events


@ledger.command(placed)
def give_up_payment(db, call, order):
    """A payment that was begun is closed: completed, failed or refunded, but never left open."""
    opened = order.did(call.forward_key, "PaymentProcessing")
    is_open = order.last("PaymentProcessing", "PaymentCompleted", "PaymentFailed", "PaymentRefunded")
    if ledger.final(order):
        return ledger.final(order), []
    if not opened or is_open[0] != "PaymentProcessing":
        return {"given_up": False}, []
    return {"given_up": True}, [("PaymentFailed", {"reason": "given up"})]


def reserved(call):
    return call.inputs["reservation"]["order_id"]


@ledger.command(reserved)
def confirm_order(db, call, order):
    if order.status == "confirmed":
        return {"confirmation": {"order_id": order.order_id, "version": order.version}}, []
    confirmation = {"order_id": order.order_id, "version": order.version + 1}
    return {"confirmation": confirmation}, [("OrderConfirmed", {})]


@ledger.command(order_id)
def cancel_order(db, call, order):
    """Cancels the order that the forward key has created, for the reason that its events tell."""
    if ledger.final(order):
        return ledger.final(order), []
    if order.status == "cancelled" or not order.did(call.forward_key, "OrderCreated"):
        return {"cancelled": False}, []
    kind, data, _ = order.last("PaymentFailed", "InventoryReservationFailed") or ("", {}, "")
    reasons = {
        "PaymentFailed": f"payment failed: {data.get('reason')}",
        "InventoryReservationFailed": f"inventory unavailable: {data.get('product_id')}",
    }
    return {"cancelled": True}, [("OrderCancelled", {"reason": reasons.get(kind, "not confirmed in time")})]


@books.once
def tell_customer(db, call):
    confirmed, placed_order = call.inputs["confirmation"], call.inputs["placed_order"]
    letter = (confirmed["order_id"], placed_order["customer_id"], "Your order is confirmed")
    db.execute("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?)", letter)
    return {"told": True}


@books.once
def record_dead_letter(db, call):
    """Notes what nobody could process. Money that was taken for it and not returned is a matter for a person."""
    failed = call.inputs["failed_orders"]
    order, error = failed["key"], failed["error"]
    captured = "SELECT sum(amount) FROM charges WHERE order_id = ? AND status = 'captured'"
    kept = db.execute(captured, (order,)).fetchone()[0]
    review = f"return {kept / 100:.2f} USD by hand" if kept else None
    row = (order, failed["step"], error["message"], failed["attempts"], review)
    db.execute("INSERT INTO dead_letters (order_id, step, reason, attempts, review) VALUES (?, ?, ?, ?, ?)", row)
    if review:
        db.execute("INSERT OR IGNORE INTO outbox VALUES (?, 'operations', ?)", (order, f"Please {review}"))
    return {"dead_letter": {"order_id": order, "review": review}, "manual_review": bool(review)}


contract.serve(
    ledger.connect,
    CreateOrder=create_order,
    StartPayment=start_payment,
    GiveUpPayment=give_up_payment,
    ConfirmOrder=confirm_order,
    CancelOrder=cancel_order,
    TellCustomer=tell_customer,
    RecordDeadLetter=record_dead_letter,
)
