"""inventory-service: knows what lies on the shelves, and sets it aside for orders."""

import goods
import shop


@shop.once
def check_inventory(db, call):
    """Whether the shelves hold all that an order asks for. Sets nothing aside yet."""
    order = call.inputs["validated_order"]
    wanted = goods.wanted(order["items"])
    count = sum(wanted.values())
    problems, grams, code = [], 0, "out_of_stock"
    for sku, quantity in wanted.items():
        article = db.execute(
            "SELECT on_hand, grams FROM stock JOIN catalogue USING (sku) WHERE run = ? AND sku = ?", (call.run, sku)
        ).fetchone()
        if article is None:
            problems.append(f"{sku} is not in the catalogue")
            code = "unknown_article"
        elif article["on_hand"] < quantity:
            problems.append(f"{sku}: {quantity} wanted, {article['on_hand']} on the shelf")
        else:
            grams += quantity * article["grams"]
    if problems:
        raise shop.Refused("; ".join(problems), code, items_count=count)
    result = {
        "id": shop.numbered("inventory_ok", order["id"]),
        "order_id": order["id"],
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in wanted.items()],
        "grams": grams,
    }
    return {"inventory_check": result, "items_count": count}


@shop.once
def reserve_inventory(db, call):
    """Takes the goods of a paid order from the shelves."""
    found, paid = call.inputs["inventory_check"], call.inputs["payment_result"]
    order_id = found["order_id"]
    if paid["order_id"] != order_id:
        raise shop.Refused(f"the receipt is for {paid['order_id']}, not for {order_id}", "wrong_receipt")
    goods.reserve(db, call, order_id, found["lines"])
    return {"reservation": {**found, "id": shop.numbered("reservation", order_id)}}


shop.serve(CheckInventory=check_inventory, ReserveInventory=reserve_inventory, ReleaseInventory=goods.release)
