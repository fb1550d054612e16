"""inventory-system: sets goods aside for orders, and puts them back."""

import goods
import shop


@shop.once
def reserve_inventory(db, call):
    order = call.inputs["order"]
    return {"reserved_items": goods.reserve(db, call, order["order_id"], order["items"])}


shop.serve(ReserveInventory=reserve_inventory, ReleaseInventory=goods.release)
