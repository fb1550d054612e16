"""The store's desk: checks orders as they come in, and tells customers and colleagues of those that are on their way."""

from decimal import Decimal

import books
import contract
import store

REQUIRED = ("id", "customer_id", "items", "total_amount")
TOLERANCE = Decimal("0.01")


def validate_order(db, call):
    """Holds an order against the store's rules. Writes nothing: what is refused here has left no trace."""
    order = call.inputs["order"]
    problems, total = faults(order)
    if problems:
        raise contract.Refused("; ".join(problems), "invalid_order")
    lines = [f"{line['quantity']} x {line['product_id']} at {line['price']}" for line in order["items"]]
    return {
        "validated_order": order,
        "item_count": len(order["items"]),
        "total_amount": total,
        "customer_name": order.get("customer_name") or "Valued Customer",
        "order_details": ", ".join(lines),
    }


def faults(order):
    """All that is wrong with an order, and what its items come to."""
    if not isinstance(order, dict):
        return ["an order is an object"], 0
    missing = [field for field in REQUIRED if not order.get(field)]
    problems = [f"missing: {', '.join(missing)}"] if missing else []
    items = order.get("items") or []
    if not isinstance(items, list):
        return [*problems, "items is no list"], 0
    for place, line in enumerate(items):
        line = line if isinstance(line, dict) else {}
        if not line.get("product_id"):
            problems.append(f"item {place}: missing product_id")
        if not is_positive(line.get("quantity")) or line["quantity"] != int(line["quantity"]):
            problems.append(f"item {place}: quantity must be a positive whole number")
        if not is_positive(line.get("price")):
            problems.append(f"item {place}: price must be positive")
    declared = order.get("total_amount")
    if declared and not is_positive(declared):
        problems.append("total_amount must be positive")
    if problems:
        return problems, 0
    total = sum(line["price"] * line["quantity"] for line in items)
    if abs(total - declared) > TOLERANCE:
        problems.append(f"total mismatch: the items come to {total}, declared is {declared}")
    return problems, total


def is_number(value):
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def is_positive(value):
    return is_number(value) and value > 0


@books.once
def notify_customer(db, call):
    """Sends the confirmation, tells the customer relations, and closes the order."""
    order, shipment = call.inputs["validated_order"], call.inputs["shipment"]
    order_id, customer_id = order["id"], order["customer_id"]
    customer = db.execute("SELECT email FROM customers WHERE customer_id = ?", (customer_id,)).fetchone()
    if customer is None:
        raise contract.Refused(f"{customer_id} is not among the customers", "unknown_customer", email_sent=False)
    parts = [call.inputs[part] for part in ("greeting", "order_summary", "next_steps", "tracking_info")]
    parts.append(f"{shipment['carrier']} {shipment['tracking_number']}")
    db.execute(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?)",
        (call.run, order_id, customer["email"], f"Your order {order_id}", "\n\n".join(parts)),
    )
    note = f"shipped with {shipment['carrier']}"
    db.execute("INSERT INTO crm VALUES (?, ?, ?, ?)", (call.run, customer_id, order_id, note))
    db.execute("INSERT INTO completions (run, order_id) VALUES (?, ?)", (call.run, order_id))
    return {"notified": True, "email_sent": True}


contract.serve(store.connect, ValidateOrder=validate_order, NotifyCustomer=notify_customer)
