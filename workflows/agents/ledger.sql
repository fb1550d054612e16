-- The event store, and the books of those who take part. Amounts are cents. It lives on from run to run: an order is
-- processed once, in whichever run.

CREATE TABLE events (
  order_id TEXT NOT NULL,
  version  INTEGER NOT NULL CHECK (version > 0),
  type     TEXT NOT NULL,
  data     TEXT NOT NULL,
  key      TEXT NOT NULL,      -- of the step that has brought it about
  at       TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (order_id, version)
);

-- What the events come to, for looking up.
CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL, version INTEGER NOT NULL);

-- The banks, and the cards and accounts there that can be paid from.
CREATE TABLE banks (bank TEXT PRIMARY KEY, reachable INTEGER NOT NULL, takes_refunds INTEGER NOT NULL);
INSERT INTO banks VALUES ('First', 1, 1), ('PayPal', 1, 1), ('Remote', 0, 1), ('Prepaid', 1, 0);
CREATE TABLE accounts (account TEXT PRIMARY KEY, bank TEXT NOT NULL REFERENCES banks, credit INTEGER NOT NULL);
INSERT INTO accounts VALUES
  ('first-ada', 'First', 500000), ('first-grace', 'First', 500000), ('first-poor', 'First', 1000),
  ('grace@example.com', 'PayPal', 500000),
  ('remote-1', 'Remote', 500000), ('prepaid-1', 'Prepaid', 500000);

CREATE TABLE charges (
  key      TEXT PRIMARY KEY,
  order_id TEXT NOT NULL,
  account  TEXT,               -- none for a bank transfer
  amount   INTEGER NOT NULL,
  status   TEXT NOT NULL CHECK (status IN ('captured', 'refunded'))
);

-- Money that has arrived by bank transfer.
CREATE TABLE transfers (order_id TEXT PRIMARY KEY, amount INTEGER NOT NULL);

CREATE TABLE stock (product_id TEXT PRIMARY KEY, available INTEGER NOT NULL CHECK (available >= 0));
INSERT INTO stock VALUES ('laptop-x1', 10), ('mouse-m2', 40), ('dock-d3', 0);

CREATE TABLE reservations (
  key        TEXT NOT NULL,
  order_id   TEXT NOT NULL,
  product_id TEXT NOT NULL,
  quantity   INTEGER NOT NULL CHECK (quantity > 0),
  status     TEXT NOT NULL CHECK (status IN ('held', 'released')),
  PRIMARY KEY (key, product_id)
);

-- What nobody can process, and what somebody has to look at.
CREATE TABLE dead_letters (
  order_id TEXT NOT NULL,
  step     TEXT,
  reason   TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  review   TEXT,               -- what a person has to do
  at       TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Letters that a mail server would pick up.
CREATE TABLE outbox (
  order_id  TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject   TEXT NOT NULL,
  PRIMARY KEY (order_id, subject)
);
