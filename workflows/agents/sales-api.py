"""sales-api: takes orders, keeps them, and hears from the delivery what becomes of them."""

import uuid

import books
import contract
import events

SOURCE = "sales-service"
# Made once, by chance: orders are numbered within it.
ORDERS = uuid.UUID("5a7b1f0e-6c0d-4c55-9a57-3f7d0c1b9e42")


def validate_order(db, call):
    """Answers 400 to what is no order, naming everything that is wrong with it. Writes nothing."""
    request = call.inputs["order_request"]
    problems = list(check(request))
    if problems:
        raise contract.Refused(f"400 Bad Request: {'; '.join(problems)}", "400")
    place = request["ship_to"]
    valid = {
        "request_id": request["request_id"],
        "customer": request["customer"],
        "items": request["items"],
        "ship_to": {"country": place["country"], "leave_at": place.get("leave_at") or "Front door"},
    }
    return {"valid_request": valid, "customer_id": valid["customer"]["id"]}


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


def refuse_order(db, call):
    """The answer to a request whose goods are not there. Writes nothing."""
    short = [item for item in call.inputs["availability"]["items"] if not item["is_available"]]
    products = ", ".join(f"{item['product_id']}: {item['requested']} wanted, {item['available']} there" for item in short)
    raise contract.Refused(f"400 Bad Request: product unavailable ({products})", "400")


@books.once
def create_order(db, call):
    """The order, its items and the event that tells of them: all of it or nothing."""
    request, availability = call.inputs["valid_request"], call.inputs["availability"]
    if not availability["all_available"]:
        raise contract.Refused("400 Bad Request: product unavailable", "400")
    order_id = str(uuid.uuid5(ORDERS, call.key))
    customer, ship_to, status = request["customer"], request["ship_to"], "PENDING_SHIPMENT"
    db.execute(
        """INSERT INTO orders (order_id, request_id, customer_id, email, ship_to, status)
           VALUES (?, ?, ?, ?, ?, ?)""",
        (order_id, request["request_id"], customer["id"], customer["email"], contract.dump(ship_to), status),
    )
    items = [{"product_id": item["product_id"], "quantity": item["requested"]} for item in availability["items"]]
    db.executemany(
        "INSERT INTO order_items VALUES (?, ?, ?)",
        [(order_id, item["product_id"], item["quantity"]) for item in items],
    )
    data = {"order_id": order_id, "status": status, "customer_id": customer["id"], "items": items, "ship_to": ship_to}
    event_id = events.announce(db, call, SOURCE, "order.created", "created", data)
    return {"order": {"id": order_id, "status": status, "event_id": event_id}, "order_status": status}


def record(shipment_event, order, change):
    """Makes a step that lets a status update have its effect: `change` is what it sets, by columns of the order."""

    @books.once
    def step(db, call):
        event = call.inputs[shipment_event]
        data = event["data"]
        order_id, status = data["order_id"], data["current_status"]
        if events.accept(db, event):
            columns = {"status": status, **{column: data[column] for column in change}}
            setting = ", ".join(f"{column} = ?" for column in columns)
            changed = db.execute(
                f"UPDATE orders SET {setting} WHERE order_id = ? AND status = ?",
                (*columns.values(), order_id, data["previous_status"]),
            )
            if not changed.rowcount:
                raise contract.Refused(f"{order_id} is not {data['previous_status']}", "out_of_order")
        return {order: {"id": order_id, "status": status, "event_id": event["event_id"]}, "order_status": status}

    return step


contract.serve(
    books.opener("SALES_DB", "sales"),
    ValidateOrder=validate_order,
    RefuseOrder=refuse_order,
    CreateOrder=create_order,
    PublishOrderCreated=events.publish("order", "order_created"),
    RecordShipped=record("order_shipped", "shipped_order", ["carrier", "tracking_number"]),
    RecordDelivered=record("order_delivered", "delivered_order", ["delivered_at"]),
)
