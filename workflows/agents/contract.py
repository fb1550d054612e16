"""The agents' contract with orderflow: an object of inputs comes in, an object of outputs goes out.

An agent serves as a worker, which stays and answers many calls, or as a command for one; orderflow.toml chooses.
Which steps there are is each agent's own matter, and so is where it keeps what it knows.

The start of a command is most of its cost: only what every agent needs is imported here.
"""

import json
import os
import sys
from decimal import Decimal

# How many calls a worker has in hand at a time; others wait their turn. A database takes one writer at a time.
HANDS = 2


class Refused(Exception):
    """The step cannot be done, and asking again changes nothing. It had no effect."""

    status, retryable, outcome = 65, False, "failed"

    def __init__(self, message, code, **columns):
        super().__init__(message)
        self.answer = {
            "error": {"message": message, "code": code, "retryable": self.retryable, "outcome": self.outcome},
            **columns,
        }


class Busy(Refused):
    """The step cannot be done now; asking again may help. It had no effect."""

    status, retryable = 75, True


class Unknown(Refused):
    """Nobody knows whether the step was done; asking again may tell."""

    status, retryable, outcome = 1, True, "unknown"


class Call:
    """One execution of a step, as orderflow asks for it.

    One that undoes another has `forward_key` too: the key under which the other was done.
    """

    def __init__(self, step, key, run, inputs, forward_key=None):
        self.step, self.key, self.run, self.inputs = step, key, run, inputs
        self.forward_key = forward_key


def serve(connect, **steps):
    """Answers the calls that come; `steps` are functions of (db, call) by phase, `connect` opens the database."""
    if "ORDERFLOW_STEP" in os.environ:
        obey(connect, steps, os.environ)
    else:
        work(connect, steps)


def obey(connect, steps, env):
    """Answers the one call that this process was started for."""
    try:
        step = steps[env["ORDERFLOW_STEP"]]
        inputs = json.load(sys.stdin, parse_float=Decimal)
        run, forward_key = env.get("ORDERFLOW_RUN", "by-hand"), env.get("ORDERFLOW_FORWARD_KEY")
        call = Call(env["ORDERFLOW_STEP"], env["ORDERFLOW_KEY"], run, inputs, forward_key)
    except KeyError as missing:
        sys.exit(f"no {missing} here; this agent needs ORDERFLOW_KEY and ORDERFLOW_STEP, one of: {', '.join(steps)}")
    try:
        answer, status = step(connect(), call), 0
    except Refused as refused:
        answer, status = refused.answer, refused.status
    print(dump(answer))
    sys.exit(status)


def work(connect, steps):
    """Answers calls until standard input ends: JSON-RPC 2.0, an object a line, several calls at a time."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    own, mouth, waiting = threading.local(), threading.Lock(), {}

    def say(id, **answer):
        with mouth:
            print(dump({"jsonrpc": "2.0", "id": id, **answer}), flush=True)

    def database():
        if not hasattr(own, "db"):
            own.db = connect()  # a connection belongs to its thread
        return own.db

    def run(id, params):
        say(id, **perform(steps, database, params))

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


def perform(steps, database, params):
    """The result or the error of one call to a worker; `database` opens it."""
    try:
        step = steps.get(params["step"])
        if step is None:
            return {"error": error(-32601, f"no step {params['step']} here, only: {', '.join(steps)}")}
        key, forward_key = params["idempotency_key"], params.get("forward_key")
        call = Call(params["step"], key, params["run"], params["inputs"], forward_key)
    except (KeyError, TypeError) as wrong:
        return {"error": error(-32602, f"params are not as they should be: {wrong!r}")}
    try:
        return {"result": step(database(), call)}
    except Refused as refused:
        return {"result": refused.answer}
    except Exception as trouble:
        import traceback

        traceback.print_exc()
        return {"error": error(-32603, f"{type(trouble).__name__}: {trouble}")}


def error(code, message, **data):
    return {"code": code, "message": message, "data": data}


def dump(value):
    """JSON text in which amounts keep their digits: 145.50, which the json module would round to 145.5."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dump(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value)
