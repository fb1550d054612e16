"""What the shop's agents share: their contract with orderflow, and the shop's books.

`serve` is the contract: an object of inputs comes in, an object of outputs goes out. An agent serves as a worker,
which stays and answers many calls, or as a command for one; orderflow.toml chooses. `once` makes an effect happen
once for each idempotency key, however often orderflow has to ask. Which steps there are is each agent's own matter.

The books are a SQLite database: the file that SHOP_DB names, else .data/shop.db beside the workflows.
A run is a day in the shop: its first agent fills the shelves from the catalogue, and every row belongs to
a run. Stock is real and can run out within a day; the next run finds the shop as this one found it.

The start of a command is most of its cost: only what every agent needs is imported here.
"""

import json
import os
import sqlite3
import sys
from decimal import Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
# How long an agent waits for the others' transactions, in seconds.
PATIENCE = 30
# How many calls a worker has in hand at a time; others wait their turn. The books take one writer at a time.
HANDS = 2


class Refused(Exception):
    """The step cannot be done, and asking again changes nothing. It had no effect."""

    status, retryable = 65, False

    def __init__(self, message, code, **columns):
        super().__init__(message)
        self.answer = {
            "error": {"message": message, "code": code, "retryable": self.retryable, "outcome": "failed"},
            **columns,
        }


class Busy(Refused):
    """The step cannot be done now; asking again may help. It had no effect."""

    status, retryable = 75, True


class Call:
    """One execution of a step, as orderflow asks for it."""

    def __init__(self, step, key, run, inputs):
        self.step, self.key, self.run, self.inputs = step, key, run, inputs


def serve(**steps):
    """Answers the calls that come; `steps` are functions of (db, call) by phase."""
    if "ORDERFLOW_STEP" in os.environ:
        obey(steps, os.environ)
    else:
        work(steps)


def obey(steps, env):
    """Answers the one call that this process was started for."""
    try:
        step = steps[env["ORDERFLOW_STEP"]]
        inputs = json.load(sys.stdin, parse_float=Decimal)
        call = Call(env["ORDERFLOW_STEP"], env["ORDERFLOW_KEY"], env.get("ORDERFLOW_RUN", "by-hand"), inputs)
    except KeyError as missing:
        sys.exit(f"no {missing} here; this agent needs ORDERFLOW_KEY and ORDERFLOW_STEP, one of: {', '.join(steps)}")
    try:
        answer, status = step(connect(), call), 0
    except Refused as refused:
        answer, status = refused.answer, refused.status
    print(dump(answer))
    sys.exit(status)


def work(steps):
    """Answers calls until standard input ends: JSON-RPC 2.0, an object a line, several calls at a time."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    own, mouth, waiting = threading.local(), threading.Lock(), {}

    def say(id, **answer):
        with mouth:
            print(dump({"jsonrpc": "2.0", "id": id, **answer}), flush=True)

    def books():
        if not hasattr(own, "db"):
            own.db = connect()  # a connection belongs to its thread
        return own.db

    def run(id, params):
        say(id, **perform(steps, books, params))

    with ThreadPoolExecutor(HANDS) as hands:
        for line in sys.stdin:
            message = json.loads(line, parse_float=Decimal)
            params = message.get("params", {})
            if message["method"] == "step/run":
                id = message["id"]
                waiting[id] = hands.submit(run, id, params)
                waiting[id].add_done_callback(lambda _, id=id: waiting.pop(id, None))
            elif message["method"] == "step/cancel":
                # What has begun is soon over; what has not never begins.
                call = waiting.get(params["id"])
                if call and call.cancel():
                    say(params["id"], error=error(-32000, "cancelled before it began", outcome="not executed"))


def perform(steps, books, params):
    """The result or the error of one call to a worker; `books` opens them."""
    try:
        step = steps.get(params["step"])
        if step is None:
            return {"error": error(-32601, f"no step {params['step']} here, only: {', '.join(steps)}")}
        call = Call(params["step"], params["idempotency_key"], params["run"], params["inputs"])
    except (KeyError, TypeError) as wrong:
        return {"error": error(-32602, f"params are not as they should be: {wrong!r}")}
    try:
        return {"result": step(books(), call)}
    except Refused as refused:
        return {"result": refused.answer}
    except Exception as trouble:
        import traceback

        traceback.print_exc()
        return {"error": error(-32603, f"{type(trouble).__name__}: {trouble}")}


def error(code, message, **data):
    return {"code": code, "message": message, "data": data}


def once(effect):
    """Makes `effect(db, call)` a transaction that happens once for each idempotency key.

    The answer is kept together with the effect: the same key again finds it and does nothing. A refusal
    keeps nothing, so that a later attempt may succeed.
    """

    def transaction(db, call):
        with db:
            begin(db)
            known = db.execute("SELECT answer FROM answers WHERE key = ?", (call.key,)).fetchone()
            if known:
                return json.loads(known[0], parse_float=Decimal)
            open_day(db, call.run)
            answer = effect(db, call)
            db.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (call.key, call.run, call.step, dump(answer)))
            return answer

    return transaction


def begin(db):
    """Begins to write. Waits for other writers first, so that nothing read here is stale when it is used."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise Busy(f"the shop's books: {error}", "database_busy") from error


def open_day(db, run):
    """Fills the shelves when the run is a new one."""
    if db.execute("INSERT OR IGNORE INTO days (run) VALUES (?)", (run,)).rowcount:
        db.execute("INSERT INTO stock SELECT ?, sku, shelf, supplier FROM catalogue", (run,))


def connect():
    """Opens the shop's books; makes them where there are none."""
    path = os.environ.get("SHOP_DB") or os.path.join(os.path.dirname(HERE), ".data", "shop.db")
    if not os.path.exists(path):
        create(path)
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    return db


def create(path):
    """Makes the books aside and links them into place: other agents see them whole or not at all.

    Of many agents that start on an empty folder the first link wins, and no live database is ever replaced.
    """
    import tempfile

    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(HERE, "shop.sql"), encoding="utf-8") as schema:
        script = schema.read()
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        new = os.path.join(aside, "shop.db")
        db = sqlite3.connect(new, isolation_level=None)
        # Readers do not wait for the writer; the mode stays with the file.
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(script)
        db.close()
        try:
            os.link(new, path)
        except FileExistsError:
            pass


def dump(value):
    """JSON text in which amounts keep their digits: 145.50, which the json module would round to 145.5."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dump(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value)


def cents(amount):
    """An amount in cents; None where it is none: no number, finer than a cent, not above zero, absurdly large."""
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        return None
    exact = Decimal(amount) * 100
    return int(exact) if 1 <= exact < 10**12 and exact == int(exact) else None


def dollars(amount):
    """Cents as a Decimal with two digits."""
    return Decimal(amount).scaleb(-2)


def numbered(kind, order_id):
    """The name of what belongs to an order: the receipt of order_007 is receipt_007."""
    prefix = "order_"
    return f"{kind}_{order_id[len(prefix):] if order_id.startswith(prefix) else order_id}"
