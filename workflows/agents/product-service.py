"""product-service: says whether there is as much of each product as a customer wants. It has the last word on that."""

import books
import service


def check_availability(db, call):
    """Only reads, so it needs no transaction, and its next answer may be another one."""
    call.sent("product-service", "Check stock levels")
    wanted = {}
    for line in call.inputs["items"]:
        wanted[line["product_id"]] = wanted.get(line["product_id"], 0) + line["quantity"]
    items = []
    for product_id, quantity in wanted.items():
        row = db.execute("SELECT available FROM products WHERE product_id = ?", (product_id,)).fetchone()
        available = row["available"] if row else 0
        items.append(
            {
                "product_id": product_id,
                "requested": quantity,
                "available": available,
                "is_available": quantity <= available,
            }
        )
    availability = {"all_available": all(item["is_available"] for item in items), "items": items}
    # Of orderflow's outputs, the availability is one; others get it alone.
    return availability if call.step is None else {"availability": availability, "products": len(items)}


service.serve(
    books.opener("PRODUCTS_DB", "products"),
    {"/api/v1/products/check-availability": check_availability},
)
