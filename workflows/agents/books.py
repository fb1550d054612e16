"""A service's books: a SQLite database in which what is done under an idempotency key is done once.

`once` makes an effect happen once for each key, however often orderflow has to ask. `undo` makes one that takes back
what was done under another key, also when nobody knows whether it was. What the books hold is each service's matter.
"""

import json
import os
import sqlite3
from decimal import Decimal

import contract

HERE = os.path.dirname(os.path.abspath(__file__))
# How long an agent waits for the others' transactions, in seconds.
PATIENCE = 30

# What was answered under a key, kept in one transaction with the effect, and keys under which nothing may be done any more.
KEYS = """
CREATE TABLE answers (key TEXT PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, answer TEXT NOT NULL);
CREATE TABLE undone (key TEXT PRIMARY KEY, run TEXT NOT NULL);
"""


def once(effect):
    """Makes `effect(db, call)` a transaction that happens once for each idempotency key.

    The answer is kept together with the effect: the same key again finds it and does nothing. A refusal
    keeps nothing, so that a later attempt may succeed.
    """

    def transaction(db, call):
        with db:
            begin(db)
            refuse_undone(db, call)
            known = answered(db, call.key)
            if known is not None:
                return known
            answer = effect(db, call)
            text = contract.dump(answer)
            db.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (call.key, call.run, call.step, text))
            return answer

    return transaction


def undo(effect):
    """Makes `effect(db, call)` the undoing of what was done under the call's forward key, once.

    The effect looks in the books for what that was. It does not take it from the call: of an attempt that was cut
    off orderflow knows no answer, nor whether it did anything. From now on the forward key is refused, so that
    an attempt that is still on its way comes too late.
    """

    @once
    def transaction(db, call):
        forbid(db, call)
        return effect(db, call)

    return transaction


def forbid(db, call):
    """Lets nothing more be done under the call's forward key."""
    if not call.forward_key:
        raise contract.Refused(f"{call.step} undoes another step, and was not told which", "no_forward_key")
    db.execute("INSERT OR IGNORE INTO undone VALUES (?, ?)", (call.forward_key, call.run))


def answered(db, key):
    """What was answered under this key; None if nothing was."""
    row = db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
    return json.loads(row["answer"], parse_float=Decimal) if row else None


def refuse_undone(db, call):
    """Refuses what has been undone before it was done."""
    if db.execute("SELECT 1 FROM undone WHERE key = ?", (call.key,)).fetchone():
        raise contract.Refused(f"{call.step} comes too late: it has been undone", "undone")


def begin(db):
    """Begins to write. Waits for other writers first, so that nothing read here is stale when it is used."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise contract.Busy(f"the books: {error}", "database_busy") from error


def opener(variable, name):
    """What opens the books in the file that the variable names, else in .data/<name>.db beside the workflows.

    Where there are none they are made, as <name>.sql says.
    """

    def connect():
        path = os.environ.get(variable) or os.path.join(os.path.dirname(HERE), ".data", f"{name}.db")
        if not os.path.exists(path):
            create(path, os.path.join(HERE, f"{name}.sql"))
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        return db

    return connect


def create(path, schema):
    """Makes the books aside and links them into place: other agents see them whole or not at all.

    Of many agents that start on an empty folder the first link wins, and no live database is ever replaced.
    """
    import tempfile

    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    with open(schema, encoding="utf-8") as file:
        script = file.read()
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        new = os.path.join(aside, "new.db")
        db = sqlite3.connect(new, isolation_level=None)
        # Readers do not wait for the writer; the mode stays with the file.
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(KEYS + script)
        db.close()
        try:
            os.link(new, path)
        except FileExistsError:
            pass
