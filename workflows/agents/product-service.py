"""product-service: says whether there is as much of each product as somebody wants. It has the last word on that."""

import books
import contract


def check_availability(db, call):
    """Looks and takes nothing, so it needs no transaction, and may well answer otherwise the next time."""
    wanted = {}
    for line in call.inputs["valid_request"]["items"]:
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
    all_available = all(item["is_available"] for item in items)
    return {"availability": {"all_available": all_available, "items": items}, "products": len(items)}


contract.serve(books.opener("PRODUCTS_DB", "products"), CheckAvailability=check_availability)
