-- The delivery database: a shipment for each order that it has heard of.

CREATE TABLE shipments (
  shipment_id       TEXT PRIMARY KEY,
  order_id          TEXT NOT NULL UNIQUE,
  country           TEXT NOT NULL,
  leave_at          TEXT NOT NULL,
  status            TEXT NOT NULL CHECK (status IN ('PENDING_SHIPMENT', 'SHIPPED', 'DELIVERED')),
  carrier           TEXT,
  tracking_number   TEXT UNIQUE,
  delivered_at      TEXT,
  delivery_location TEXT,
  CHECK (status = 'PENDING_SHIPMENT' OR tracking_number IS NOT NULL),
  CHECK ((status = 'DELIVERED') = (delivered_at IS NOT NULL))
);

CREATE TABLE parcels (
  shipment_id TEXT NOT NULL REFERENCES shipments,
  product_id  TEXT NOT NULL,
  quantity    INTEGER NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (shipment_id, product_id)
);
