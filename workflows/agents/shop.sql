-- The shop's books. Amounts are cents, weights grams. A run of a workflow is a day in the shop: every
-- table but the first three belongs to a run, so no day touches the stock or the orders of another.
--
-- What is done for an order is kept under the idempotency key with which it was asked for, by which it is found
-- when it is to be undone. It is not deleted then: its status says that it was undone.

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

-- Where the carriers go, and how many days it takes them.
CREATE TABLE destinations (
  country TEXT PRIMARY KEY,
  days    INTEGER NOT NULL
);

INSERT INTO destinations VALUES
  ('US', 3), ('CA', 5), ('MX', 6), ('DE', 6), ('FR', 6), ('GB', 6), ('NO', 7), ('PT', 7), ('BR', 9), ('IN', 9), ('JP', 8);

-- What the mail servers of these domains do with letters; all others take them.
CREATE TABLE mail_servers (
  domain TEXT PRIMARY KEY,
  does   TEXT NOT NULL CHECK (does IN ('refuses', 'is busy', 'loses replies')),
  times  INTEGER           -- how often to each recipient; always, where that is null
);

INSERT INTO mail_servers VALUES
  ('gone.example',   'refuses',       NULL),  -- no such mailbox
  ('grey.example',   'is busy',          2),  -- takes a letter the third time
  ('closed.example', 'is busy',       NULL),
  ('far.example',    'loses replies',    2);  -- takes letters, but the line breaks before it says so

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
  key         TEXT NOT NULL,
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

-- Orders that were put back for another try.
CREATE TABLE second_tries (
  run      TEXT NOT NULL,
  order_id TEXT NOT NULL,
  PRIMARY KEY (run, order_id)
);

CREATE TABLE reservations (
  reservation_id TEXT PRIMARY KEY,
  key            TEXT NOT NULL,
  run            TEXT NOT NULL REFERENCES days,
  order_id       TEXT NOT NULL,
  sku            TEXT NOT NULL REFERENCES catalogue,
  quantity       INTEGER NOT NULL CHECK (quantity > 0),
  status         TEXT NOT NULL CHECK (status IN ('held', 'released'))
);

CREATE INDEX reservations_by_key ON reservations (key);
CREATE UNIQUE INDEX held_once ON reservations (run, order_id, sku) WHERE status = 'held';

CREATE TABLE payments (
  key      TEXT PRIMARY KEY,
  run      TEXT NOT NULL REFERENCES days,
  order_id TEXT NOT NULL,
  receipt  TEXT NOT NULL,
  amount   INTEGER NOT NULL CHECK (amount > 0),
  status   TEXT NOT NULL CHECK (status IN ('captured', 'refunded'))
);

CREATE UNIQUE INDEX paid_once ON payments (run, order_id) WHERE status = 'captured';

-- What the card gateway remembers of each idempotency key: how often it was asked, and what it took from the card and gave back.
CREATE TABLE gateway (
  key      TEXT PRIMARY KEY,
  calls    INTEGER NOT NULL,
  card     TEXT NOT NULL,
  charged  INTEGER NOT NULL DEFAULT 0,
  refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded IN (0, charged))
);

CREATE TABLE shipments (
  key             TEXT PRIMARY KEY,
  run             TEXT NOT NULL REFERENCES days,
  order_id        TEXT NOT NULL,
  carrier         TEXT NOT NULL,
  tracking_number TEXT NOT NULL UNIQUE,
  status          TEXT NOT NULL CHECK (status IN ('announced', 'cancelled'))
);

CREATE UNIQUE INDEX shipped_once ON shipments (run, order_id) WHERE status = 'announced';

-- Letters that mail servers have taken.
CREATE TABLE letters (
  key       TEXT PRIMARY KEY,
  run       TEXT NOT NULL REFERENCES days,
  order_id  TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject   TEXT NOT NULL,
  body      TEXT NOT NULL
);

-- How often a mail server was asked to take a letter to somebody.
CREATE TABLE mail_calls (
  run       TEXT NOT NULL,
  recipient TEXT NOT NULL,
  calls     INTEGER NOT NULL,
  PRIMARY KEY (run, recipient)
);
