"""order-api: takes orders in, and looks after those that failed."""

import shop


@shop.once
def receive_order(db, call):
    """Refuses what is no order, naming everything that is wrong with it; writes the rest into the books."""
    request = call.inputs["order_request"]
    problems = list(check(request))
    customer_id = text(request, "customer", "id")
    if problems:
        raise shop.Refused("; ".join(problems), "invalid_order", customer_id=customer_id)
    order_id, total = request["order_id"], shop.cents(request["total"])
    if db.execute("SELECT 1 FROM orders WHERE run = ? AND order_id = ?", (call.run, order_id)).fetchone():
        raise shop.Refused(f"{order_id} was received before", "duplicate_order", customer_id=customer_id)
    db.execute(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, 'received')",
        (call.run, order_id, customer_id, request["customer"]["email"], request["ship_to"]["country"], total),
    )
    db.executemany(
        "INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)",
        [(call.run, order_id, line["sku"], line["quantity"], shop.cents(line["price"])) for line in request["items"]],
    )
    order = {
        "id": order_id,
        "customer": request["customer"],
        "items": request["items"],
        "total": shop.dollars(total),
        "payment": request["payment"],
        "ship_to": request["ship_to"],
    }
    return {"validated_order": order, "customer_id": customer_id}


def check(request):
    """All that is wrong with an order request, in words."""
    for path in (["order_id"], ["customer", "id"], ["customer", "email"], ["ship_to", "country"], ["payment", "token"]):
        if not text(request, *path):
            yield f"{'.'.join(path)} is missing"
    lines = request.get("items") if isinstance(request, dict) else None
    if not isinstance(lines, list) or not lines:
        yield "items is missing"
        return
    amount = 0
    for number, line in enumerate(lines):
        wrong = list(check_line(line))
        yield from (f"items[{number}].{each}" for each in wrong)
        amount = None if wrong or amount is None else amount + line["quantity"] * shop.cents(line["price"])
    if amount is not None and shop.cents(request.get("total")) != amount:
        yield f"total is {request.get('total')}, the items come to {shop.dollars(amount)}"


def check_line(line):
    if not text(line, "sku"):
        yield "sku is missing"
    quantity = line.get("quantity") if isinstance(line, dict) else None
    if type(quantity) is not int or not 1 <= quantity <= 9999:
        yield f"quantity is {quantity}, not a whole number from 1 to 9999"
    price = shop.cents(line.get("price")) if isinstance(line, dict) else None
    if price is None:
        yield "price is not an amount in dollars and cents"


def text(value, *path):
    """The text at this path inside the value, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


@shop.once
def handle_failed_orders(db, call):
    """Orders from the supplier what the shelf lacks, so that a retry makes sense; cancels the rest."""
    order_id = call.inputs["failed_orders"]["item"]["order_id"]
    where = (call.run, order_id)
    if not db.execute("SELECT 1 FROM orders WHERE run = ? AND order_id = ?", where).fetchone():
        return {"retry_scheduled": False, "retry_count": 0}  # refused at the door: only the customer can mend it
    short = db.execute(
        """SELECT sku, sum(quantity) - on_hand AS missing, at_supplier
           FROM order_lines JOIN stock USING (run, sku)
           WHERE run = ? AND order_id = ? GROUP BY sku HAVING sum(quantity) > on_hand""",
        where,
    ).fetchall()
    if short and all(line["missing"] <= line["at_supplier"] for line in short):
        for line in short:
            db.execute(
                "UPDATE stock SET on_hand = on_hand + ?1, at_supplier = at_supplier - ?1 WHERE run = ?2 AND sku = ?3",
                (line["missing"], call.run, line["sku"]),
            )
        db.execute("UPDATE orders SET status = 'backordered' WHERE run = ? AND order_id = ?", where)
        return {"retry_scheduled": True, "retry_count": 1}
    cancel(db, where)
    return {"retry_scheduled": False, "retry_count": 0}


def cancel(db, where):
    """Gives back the goods and the money, where the order had come that far."""
    reserved = db.execute("SELECT quantity, run, sku FROM reservations WHERE run = ? AND order_id = ?", where)
    db.executemany("UPDATE stock SET on_hand = on_hand + ? WHERE run = ? AND sku = ?", reserved.fetchall())
    db.execute("DELETE FROM reservations WHERE run = ? AND order_id = ?", where)
    db.execute("UPDATE payments SET status = 'refunded' WHERE run = ? AND order_id = ?", where)
    db.execute("UPDATE orders SET status = 'cancelled' WHERE run = ? AND order_id = ?", where)


shop.serve(ReceiveOrder=receive_order, HandleFailedOrders=handle_failed_orders)
