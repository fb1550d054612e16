-- What the product service knows: how much of each product there is to sell.

CREATE TABLE products (
  product_id TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  available  INTEGER NOT NULL CHECK (available >= 0)
);

INSERT INTO products VALUES
  ('product_456', 'Desk lamp',   150),
  ('product_789', 'Oak chair',    50),
  ('product_321', 'Wool rug',     12),
  ('product_101', 'Brass clock',   0);  -- no longer made
