-- The sales database: orders as their customers placed them, and how far the delivery has come with each.

CREATE TABLE orders (
  order_id        TEXT PRIMARY KEY,
  request_id      TEXT NOT NULL,
  customer_id     TEXT NOT NULL,
  email           TEXT NOT NULL,
  ship_to         TEXT NOT NULL,  -- JSON
  status          TEXT NOT NULL CHECK (status IN ('PENDING_SHIPMENT', 'SHIPPED', 'DELIVERED')),
  carrier         TEXT,
  tracking_number TEXT,
  delivered_at    TEXT,
  CHECK (status = 'PENDING_SHIPMENT' OR tracking_number IS NOT NULL),
  CHECK ((status = 'DELIVERED') = (delivered_at IS NOT NULL))
);

CREATE TABLE order_items (
  order_id   TEXT NOT NULL REFERENCES orders,
  product_id TEXT NOT NULL,
  quantity   INTEGER NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (order_id, product_id)
);
