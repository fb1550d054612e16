"""order-api: takes orders in, strikes them out, and looks after those that failed."""

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
    where = (call.run, order_id)
    known = db.execute("SELECT status FROM orders WHERE run = ? AND order_id = ?", where).fetchone()
    if known and known["status"] in ("received", "shipped"):
        raise shop.Refused(f"{order_id} was received before", "duplicate_order", customer_id=customer_id)
    # One that was cancelled, or waits for the supplier, is taken up again as it is now.
    db.execute("DELETE FROM order_lines WHERE run = ? AND order_id = ?", where)
    db.execute("DELETE FROM orders WHERE run = ? AND order_id = ?", where)
    db.execute(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, 'received')",
        (call.key, *where, customer_id, request["customer"]["email"], request["ship_to"]["country"], total),
    )
    db.executemany(
        "INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)",
        [(*where, line["sku"], line["quantity"], shop.cents(line["price"])) for line in request["items"]],
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


@shop.undo
def cancel_order(db, call):
    """Strikes out what was received under the forward key. The order stays in the books, as a cancelled one."""
    struck = db.execute("UPDATE orders SET status = 'cancelled' WHERE key = ?", (call.forward_key,))
    return {"order_cancelled": struck.rowcount == 1}


@shop.once
def handle_failed_orders(db, call):
    """Says whether another try makes sense, and sees to it that it does."""
    failed = call.inputs["failed_orders"]
    order_id = failed["item"]["order_id"]
    if not helps(db, call, failed, order_id):
        return {"retry_scheduled": False, "retry_count": 0}
    put_back = db.execute("INSERT OR IGNORE INTO second_tries VALUES (?, ?)", (call.run, order_id)).rowcount == 1
    return {"retry_scheduled": put_back, "retry_count": 1}


def helps(db, call, failed, order_id):
    """Whether the order could go through if it is tried once more."""
    if failed["step"] == "NotifyCustomer":
        return True  # the goods are on their way; only the letter is missing
    return failed["error"]["code"] == "out_of_stock" and restock(db, call, order_id)


def restock(db, call, order_id):
    """Orders what the shelf lacks for this order from the supplier; whether he has all of it."""
    where = (call.run, order_id)
    short = db.execute(
        """SELECT sku, sum(quantity) - on_hand AS missing, at_supplier
           FROM order_lines JOIN stock USING (run, sku)
           WHERE run = ? AND order_id = ? GROUP BY sku HAVING sum(quantity) > on_hand""",
        where,
    ).fetchall()
    if any(line["missing"] > line["at_supplier"] for line in short):
        return False
    for line in short:
        db.execute(
            "UPDATE stock SET on_hand = on_hand + ?1, at_supplier = at_supplier - ?1 WHERE run = ?2 AND sku = ?3",
            (line["missing"], call.run, line["sku"]),
        )
    ordered = db.execute("UPDATE orders SET status = 'backordered' WHERE run = ? AND order_id = ?", where)
    return ordered.rowcount == 1


shop.serve(ReceiveOrder=receive_order, CancelOrder=cancel_order, HandleFailedOrders=handle_failed_orders)
