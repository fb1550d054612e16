-- The store's books, and those of the card gateway that it pays through. Amounts are cents.

CREATE TABLE catalogue (product_id TEXT PRIMARY KEY, stock INTEGER NOT NULL);
INSERT INTO catalogue VALUES ('LAPTOP', 20), ('MOUSE', 50), ('KEYBOARD', 5), ('OUT-OF-STOCK', 0);

-- Whom the store knows.
CREATE TABLE customers (customer_id TEXT PRIMARY KEY, email TEXT NOT NULL);
INSERT INTO customers VALUES
  ('CUST-123', 'ada@example.com'), ('CUST-456', 'grace@example.com'), ('CUST-789', 'edsger@example.com');

-- Who carries parcels where.
CREATE TABLE carriers (country TEXT PRIMARY KEY, carrier TEXT NOT NULL);
INSERT INTO carriers VALUES ('US', 'UPS'), ('CA', 'UPS'), ('DE', 'DHL'), ('FR', 'DHL');

-- The gateway's cards for trying things out, as every gateway has some; it approves all others. Of its answers to
-- the charges of a card the first `lost` never arrive.
CREATE TABLE cards (
  last4     TEXT PRIMARY KEY,
  verdict   TEXT NOT NULL CHECK (verdict IN ('approved', 'card_declined', 'expired_card', 'gateway_error')),
  retryable INTEGER NOT NULL,
  lost      INTEGER NOT NULL
);
INSERT INTO cards VALUES
  ('0000', 'card_declined', 0, 0),
  ('0069', 'expired_card',  0, 0),
  ('0119', 'gateway_error', 0, 0),
  ('0503', 'gateway_error', 1, 0),  -- has recovered when it is asked again
  ('0408', 'approved',      1, 1),
  ('0504', 'approved',      1, 1000);

-- The gateway's own books: it knows a charge by its idempotency key, which may have been taken without an answer.
CREATE TABLE charges (
  key            TEXT PRIMARY KEY,
  run            TEXT NOT NULL,
  order_id       TEXT NOT NULL,
  amount         INTEGER NOT NULL,
  calls          INTEGER NOT NULL,
  status         TEXT NOT NULL CHECK (status IN ('refused', 'captured', 'refunded'))
);

CREATE TABLE days (run TEXT PRIMARY KEY, opened TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);

CREATE TABLE stock (
  run        TEXT NOT NULL,
  product_id TEXT NOT NULL,
  available  INTEGER NOT NULL CHECK (available >= 0),
  PRIMARY KEY (run, product_id)
);

-- `key` is that of the step that has reserved.
CREATE TABLE reservations (
  run        TEXT NOT NULL,
  order_id   TEXT NOT NULL,
  product_id TEXT NOT NULL,
  quantity   INTEGER NOT NULL CHECK (quantity > 0),
  key        TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('held', 'released', 'shipped'))
);
CREATE INDEX reservations_by_key ON reservations (key);

CREATE TABLE payments (
  run        TEXT NOT NULL,
  order_id   TEXT NOT NULL,
  payment_id TEXT NOT NULL,
  amount     INTEGER NOT NULL,
  fee        INTEGER NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('charged', 'refunded')),
  PRIMARY KEY (run, order_id)
);

CREATE TABLE shipments (
  run             TEXT NOT NULL,
  order_id        TEXT NOT NULL,
  carrier         TEXT NOT NULL,
  tracking_number TEXT NOT NULL UNIQUE,
  label           TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN ('label_created')),
  PRIMARY KEY (run, order_id)
);

-- Letters that a mail server would pick up.
CREATE TABLE outbox (
  run       TEXT NOT NULL,
  order_id  TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject   TEXT NOT NULL,
  body      TEXT NOT NULL
);

-- What the customer relations hear of, and what is done for good.
CREATE TABLE crm (run TEXT NOT NULL, customer_id TEXT NOT NULL, order_id TEXT NOT NULL, note TEXT NOT NULL);
CREATE TABLE completions (
  run       TEXT NOT NULL,
  order_id  TEXT NOT NULL,
  completed TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (run, order_id)
);
