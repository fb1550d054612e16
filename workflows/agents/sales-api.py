"""sales-api: takes orders, stores them, and records how far their delivery is."""

import uuid

import books
import contract
import service

# Chosen at random, once: the numbers of orders are made within it.
ORDERS = uuid.UUID("5a7b1f0e-6c0d-4c55-9a57-3f7d0c1b9e42")
DATABASE = "sales-db"


def check_order(db, call):
    """Answers 400 to what is no order, with everything that is wrong with it. Writes nothing."""
    request = call.inputs["order_request"]
    call.received("customer", "POST /orders (order request)")
    call.sent("sales-api", "Validate order data")
    problems = list(check(request))
    if problems:
        call.sent("customer", "400 Bad Request (no valid order)")
        raise contract.Refused(f"400 Bad Request: {'; '.join(problems)}", "400")
    place = request["ship_to"]
    valid = {
        "request_id": request["request_id"],
        "customer": request["customer"],
        "ship_to": {"country": place["country"], "leave_at": place.get("leave_at") or "Front door"},
    }
    return {"valid_request": valid, "items": request["items"], "customer_id": valid["customer"]["id"]}


def check(request):
    """All that is wrong with a request, in words."""
    for path in (["request_id"], ["customer", "id"], ["customer", "email"], ["ship_to", "country"]):
        if not text(request, *path):
            yield f"{'.'.join(path)} is missing"
    lines = request.get("items") if isinstance(request, dict) else None
    if not isinstance(lines, list) or not lines:
        yield "items is missing"
        return
    for number, line in enumerate(lines):
        if not text(line, "product_id"):
            yield f"items[{number}].product_id is missing"
        quantity = line.get("quantity") if isinstance(line, dict) else None
        if type(quantity) is not int or not 1 <= quantity <= 9999:
            yield f"items[{number}].quantity is {quantity}, not a whole number from 1 to 9999"


def text(value, *path):
    """The text at this path inside the value, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def orders(db, call):
    """POST /orders: the order, if the product service has said that everything is there; else 400, and no order."""
    availability = call.inputs["availability"]
    if availability["all_available"]:
        return create_order(db, call)
    call.sent("customer", "400 Bad Request (product unavailable)")
    short = [item for item in availability["items"] if not item["is_available"]]
    products = ", ".join(f"{item['product_id']}: {item['requested']} wanted, {item['available']} there" for item in short)
    raise contract.Refused(f"400 Bad Request: product unavailable ({products})", "400")


@books.once
def create_order(db, call):
    """The order and its items: both or neither."""
    request = call.inputs["valid_request"]
    order_id = str(uuid.uuid5(ORDERS, call.key))
    customer, ship_to, status = request["customer"], request["ship_to"], "PENDING_SHIPMENT"
    call.sent(DATABASE, "BEGIN")
    call.sent(DATABASE, f'INSERT order (status="{status}")')
    db.execute(
        """INSERT INTO orders (order_id, request_id, customer_id, email, ship_to, status)
           VALUES (?, ?, ?, ?, ?, ?)""",
        (order_id, request["request_id"], customer["id"], customer["email"], contract.dump(ship_to), status),
    )
    items = [
        {"product_id": item["product_id"], "quantity": item["requested"]}
        for item in call.inputs["availability"]["items"]
    ]
    call.sent(DATABASE, "INSERT order_items")
    db.executemany(
        "INSERT INTO order_items VALUES (?, ?, ?)",
        [(order_id, item["product_id"], item["quantity"]) for item in items],
    )
    # The answer is sent only after that.
    call.sent(DATABASE, "COMMIT")
    call.sent("customer", f'201 Created (order_id, status="{status}")')
    order = {"order_id": order_id, "status": status, "customer_id": customer["id"], "items": items, "ship_to": ship_to}
    return {"order": order, "order_status": status}


@books.once
def record_status(db, call):
    """Changes the status of an order, if it has the status that the event says it had."""
    update = call.inputs["order_status_updated"]
    order_id, status = update["order_id"], update["current_status"]
    changes = {name: update[name] for name in ("carrier", "tracking_number", "delivered_at") if update.get(name)}
    columns = {"status": status, **changes}
    setting = ", ".join(f"{column} = ?" for column in columns)
    call.sent(DATABASE, f'UPDATE order (status="{status}")')
    changed = db.execute(
        f"UPDATE orders SET {setting} WHERE order_id = ? AND status = ?",
        (*columns.values(), order_id, update["previous_status"]),
    )
    if not changed.rowcount:
        raise contract.Refused(f"{order_id} is not {update['previous_status']}", "out_of_order")
    return {f"{status.lower()}_order": {"order_id": order_id, "status": status}, "order_status": status}


service.serve(
    books.opener("SALES_DB", "sales"),
    {"/orders/check": check_order, "/orders": orders, "/orders/status": record_status},
)
