-- The shop's books. Amounts are cents, weights grams. A run of a workflow is a day in the shop: every
-- table but the catalogue belongs to a run, so no day touches the stock or the orders of another.

-- What the shop sells; `shelf` and `supplier` are what a day begins with.
CREATE TABLE catalogue (
  sku      TEXT PRIMARY KEY,
  name     TEXT NOT NULL,
  grams    INTEGER NOT NULL,
  shelf    INTEGER NOT NULL,
  supplier INTEGER NOT NULL
);

INSERT INTO catalogue VALUES
  ('TEA-GREEN',   'Green tea, 100 g',      150, 500,   0),
  ('TSHIRT-M',    'T-shirt, medium',       200, 500,   0),
  ('MUG-BLUE',    'Blue mug',              350, 500,   0),
  ('NOTEBOOK-A5', 'Notebook, A5',          400, 500,   0),
  ('KETTLE',      'Kettle, 1.5 l',        1300, 500,   0),
  ('LAMP-DESK',   'Desk lamp',            2400, 500,   0),
  ('CHAIR-OAK',   'Oak chair, to order',  6500,   0,  10),  -- comes from the supplier
  ('RUG-WOOL',    'Wool rug',             3000,   4,   1),  -- nearly gone
  ('CLOCK-BRASS', 'Brass clock',           900,   0,   0);  -- no longer made

CREATE TABLE days (
  run    TEXT PRIMARY KEY,
  opened TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE stock (
  run         TEXT NOT NULL REFERENCES days,
  sku         TEXT NOT NULL REFERENCES catalogue,
  on_hand     INTEGER NOT NULL CHECK (on_hand >= 0),
  at_supplier INTEGER NOT NULL CHECK (at_supplier >= 0),
  PRIMARY KEY (run, sku)
);

CREATE TABLE orders (
  run         TEXT NOT NULL REFERENCES days,
  order_id    TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  email       TEXT NOT NULL,
  country     TEXT NOT NULL,
  total       INTEGER NOT NULL CHECK (total > 0),
  status      TEXT NOT NULL CHECK (status IN ('received', 'backordered', 'shipped', 'cancelled')),
  PRIMARY KEY (run, order_id)
);

CREATE TABLE order_lines (
  run      TEXT NOT NULL,
  order_id TEXT NOT NULL,
  sku      TEXT NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  price    INTEGER NOT NULL CHECK (price >= 0),
  FOREIGN KEY (run, order_id) REFERENCES orders
);

CREATE INDEX order_lines_by_order ON order_lines (run, order_id);

CREATE TABLE payments (
  run      TEXT NOT NULL,
  order_id TEXT NOT NULL,
  receipt  TEXT NOT NULL,
  amount   INTEGER NOT NULL CHECK (amount > 0),
  status   TEXT NOT NULL CHECK (status IN ('captured', 'refunded')),
  PRIMARY KEY (run, order_id),
  FOREIGN KEY (run, order_id) REFERENCES orders
);

CREATE TABLE reservations (
  run      TEXT NOT NULL,
  order_id TEXT NOT NULL,
  sku      TEXT NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (run, order_id, sku),
  FOREIGN KEY (run, order_id) REFERENCES orders
);

CREATE TABLE shipments (
  run             TEXT NOT NULL,
  order_id        TEXT NOT NULL,
  carrier         TEXT NOT NULL,
  tracking_number TEXT NOT NULL UNIQUE,
  PRIMARY KEY (run, order_id),
  FOREIGN KEY (run, order_id) REFERENCES orders
);

-- Letters that a mail server would pick up.
CREATE TABLE outbox (
  run       TEXT NOT NULL,
  order_id  TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject   TEXT NOT NULL,
  body      TEXT NOT NULL,
  FOREIGN KEY (run, order_id) REFERENCES orders
);

-- What the card gateway remembers: how often it was asked with an idempotency key.
CREATE TABLE gateway (
  key   TEXT PRIMARY KEY,
  calls INTEGER NOT NULL
);
