"""inventory-service: knows what lies on the shelves, and sets it aside for orders."""

import shop


@shop.once
def check_inventory(db, call):
    """Whether the shelves hold all that an order asks for. Sets nothing aside yet."""
    order = call.inputs["validated_order"]
    wanted = {}
    for line in order["items"]:
        wanted[line["sku"]] = wanted.get(line["sku"], 0) + line["quantity"]
    count = sum(wanted.values())
    problems, grams = [], 0
    for sku, quantity in wanted.items():
        article = db.execute(
            "SELECT on_hand, grams FROM stock JOIN catalogue USING (sku) WHERE run = ? AND sku = ?", (call.run, sku)
        ).fetchone()
        if article is None:
            problems.append(f"{sku} is not in the catalogue")
        elif article["on_hand"] < quantity:
            problems.append(f"{sku}: {quantity} wanted, {article['on_hand']} on the shelf")
        else:
            grams += quantity * article["grams"]
    if problems:
        raise shop.Refused("; ".join(problems), "out_of_stock", items_count=count)
    result = {
        "id": shop.numbered("inventory_ok", order["id"]),
        "order_id": order["id"],
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in wanted.items()],
        "grams": grams,
    }
    return {"inventory_check": result, "items_count": count}


@shop.once
def reserve_inventory(db, call):
    """Takes the goods of a paid order from the shelves: all of them or none."""
    found, paid = call.inputs["inventory_check"], call.inputs["payment_result"]
    order_id = found["order_id"]
    if paid["order_id"] != order_id:
        raise shop.Refused(f"the receipt is for {paid['order_id']}, not for {order_id}", "wrong_receipt")
    for line in found["lines"]:
        # Another order may have been quicker since the check, so the shelf is asked once more.
        taken = db.execute(
            "UPDATE stock SET on_hand = on_hand - ?1 WHERE run = ?2 AND sku = ?3 AND on_hand >= ?1",
            (line["quantity"], call.run, line["sku"]),
        )
        if not taken.rowcount:
            raise shop.Refused(f"{line['sku']} was sold out in the meantime", "out_of_stock")
        db.execute(
            "INSERT INTO reservations VALUES (?, ?, ?, ?)", (call.run, order_id, line["sku"], line["quantity"])
        )
    reservation = {**found, "id": shop.numbered("reservation", order_id)}
    return {"reservation": reservation}


shop.serve(CheckInventory=check_inventory, ReserveInventory=reserve_inventory)
