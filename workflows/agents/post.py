"""Letters to customers, and the mail servers that take them.

A mail server is a system of its own: it is asked in a transaction apart from what the shop notes about it. It knows
a letter by its key, and takes it once, however often it comes.
"""

import shop


def send(db, call, order_id, recipient, subject, body):
    """Hands a letter over to the mail server of its recipient."""
    with db:
        shop.begin(db)
        shop.refuse_undone(db, call)
        row = (call.run, recipient)
        db.execute(
            """INSERT INTO mail_calls VALUES (?, ?, 1)
               ON CONFLICT (run, recipient) DO UPDATE SET calls = calls + 1""",
            row,
        )
        calls = db.execute("SELECT calls FROM mail_calls WHERE run = ? AND recipient = ?", row).fetchone()["calls"]
        does = behaviour(db, recipient, calls)
        if does in ("takes", "loses replies"):
            letter = (call.key, call.run, order_id, recipient, subject, body)
            db.execute("INSERT OR IGNORE INTO letters VALUES (?, ?, ?, ?, ?, ?)", letter)
    if does == "refuses":
        raise shop.Refused(f"550 no mailbox {recipient}", "no_mailbox", email_sent=False)
    if does == "is busy":
        raise shop.Busy(f"451 try again later to reach {recipient}", "mail_deferred", email_sent=False)
    if does == "loses replies":
        raise shop.Unknown("the line to the mail server broke before it answered", "no_reply")


def behaviour(db, recipient, calls):
    """What the mail server of the recipient does when it is asked for the n-th time."""
    domain = recipient.rpartition("@")[2]
    server = db.execute("SELECT does, times FROM mail_servers WHERE domain = ?", (domain,)).fetchone()
    if server is None or (server["times"] is not None and calls > server["times"]):
        return "takes"
    return server["does"]


def email_id(call):
    """The number of a letter, by its key."""
    import hashlib

    return f"EMAIL-{hashlib.sha256(call.key.encode()).hexdigest()[:12].upper()}"
