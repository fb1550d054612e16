"""What the agents of order-fulfillment.md share: the store's books, in the file that STORE_DB names.

A run is a day in the store: it begins with the stock of the catalogue, and every row belongs to a run.
"""

import books

connect = books.opener("STORE_DB", "store")


def open_day(db, run):
    """Puts the stock of the catalogue on the shelves when the run is a new one."""
    if db.execute("INSERT OR IGNORE INTO days (run) VALUES (?)", (run,)).rowcount:
        db.execute("INSERT INTO stock SELECT ?, product_id, stock FROM catalogue", (run,))
