"""Reads, checks, cleans and stores meter readings. One program for all steps of data-pipeline.md.

The readings are a SQLite database, and all pages for people lie beside it: in the folder that METER_DATA names, else in
.data beside the workflows.
"""

import csv
import datetime
import io
import json
import math
import os
import sqlite3
import sys

HOME = os.environ.get("METER_DATA") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".data")
COLUMNS = ["meter", "day", "kwh", "read_by"]
PER_EXPORT = "SELECT meter, count(*), sum(kwh) FROM readings WHERE export = ? GROUP BY meter ORDER BY meter"


def read_export(inputs):
    lines = csv.reader(io.StringIO(inputs["export"]))
    header = next(lines, [])
    if header != COLUMNS:
        message = f"the first line is {','.join(header)}, not {','.join(COLUMNS)}"
        return {"error": {"message": message, "code": "wrong_columns", "retryable": False}}
    rows = [{"line": lines.line_num, "cells": cells} for cells in lines if cells]
    return {"name": os.environ["ORDERFLOW_ITEM"], "rows": rows, "rows_read": len(rows)}


def check_rows(inputs):
    good, rejected = [], []
    for row in inputs["rows"]:
        why = fault(row["cells"])
        if why:
            rejected.append({**row, "why": why})
        else:
            good.append(row)
    share = len(rejected) / max(1, len(inputs["rows"]))
    return {"good_rows": good, "rejected": rejected, "rejected_share": round(share, 4), "rows_rejected": len(rejected)}


def fault(cells):
    """Why a row cannot be used, if it cannot."""
    if len(cells) != len(COLUMNS):
        return f"{len(cells)} cells, not {len(COLUMNS)}"
    meter, day, kwh, _ = cells
    if not meter.strip():
        return "no meter"
    try:
        as_day(day)
    except ValueError:
        return f"{day!r} is no day"
    try:
        number = as_number(kwh)
    except ValueError:
        return f"{kwh!r} is no number"
    return "negative consumption" if number < 0 else None


def clean(inputs):
    readings = {}
    for row in inputs["good_rows"]:
        meter, day, kwh, read_by = row["cells"]
        meter, day = meter.strip().upper(), as_day(day).isoformat()
        # The last of two for one day holds.
        readings[meter, day] = {"meter": meter, "day": day, "kwh": as_number(kwh), "read_by": read_by.strip()}
    return {"readings": list(readings.values()), "doubles": len(inputs["good_rows"]) - len(readings)}


def as_day(text):
    form = "%d.%m.%Y" if "." in text else "%Y-%m-%d"
    return datetime.datetime.strptime(text.strip(), form).date()


def as_number(text):
    number = float(text.strip().replace(",", "."))
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def store(inputs):
    name, readings = inputs["name"], inputs["readings"]
    with books() as db:
        before = set(db.execute("SELECT meter, day FROM readings WHERE export = ?", (name,)))
        removed = len(before - {(reading["meter"], reading["day"]) for reading in readings})
        total = count(db)
        db.execute("DELETE FROM readings WHERE export = ?", (name,))
        db.executemany(
            "INSERT OR REPLACE INTO readings VALUES (:meter, :day, :kwh, :read_by, :export)",
            [{**reading, "export": name} for reading in readings],
        )
        added = count(db) - total + removed
    stored = {"export": name, "added": added, "replaced": len(readings) - added, "removed": removed}
    return {"stored": {**stored, "kwh": sum(reading["kwh"] for reading in readings)}}


def count(db):
    return db.execute("SELECT count(*) FROM readings").fetchone()[0]


def set_aside(inputs):
    rows = [[row["line"], row["why"], *row["cells"]] for row in inputs["rejected"]]
    path = place(f"rejected-{inputs['name']}.csv")
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["line", "why", *COLUMNS], *rows])
    return {"rejected_file": os.path.basename(path)}


def report(inputs):
    stored, rejected = inputs["stored"], len(inputs["rejected"])
    with books() as db:
        totals = db.execute(PER_EXPORT, (inputs["name"],)).fetchall()
    news = f"{stored['added']} readings are new, {stored['replaced']} replaced, {stored['removed']} removed."
    lines = [f"# {inputs['name']}", "", news]
    if rejected:
        see = f": see {inputs['rejected_file']}" if "rejected_file" in inputs else ""
        lines.append(f"{rejected} {'row' if rejected == 1 else 'rows'} could not be used{see}.")
    lines += ["", "| meter | days | kWh |", "|---|---:|---:|"]
    lines += [f"| {meter} | {days} | {total:.2f} |" for meter, days, total in totals]
    return {"report": page(f"report-{inputs['name']}.md", lines)}


def sum_up(inputs):
    lines = ["# Exports stored", "", "| export | readings | kWh |", "|---|---:|---:|"]
    for stored in inputs["stored"]:
        lines.append(f"| {stored['export']} | {stored['added'] + stored['replaced']} | {stored['kwh']:.2f} |")
    return {"summary": page("summary.md", lines)}


def ask(inputs):
    lines = ["# Exports that we need again", ""]
    for failed in inputs["failed_exports"]:
        file = failed["values"].get("rejected_file")
        lines.append(f"- {failed['key']}: {failed['error']['message']}" + (f" (see {file})" if file else ""))
    return {"request": page("request.md", lines)}


def page(name, lines):
    with open(place(name), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return name


def place(name):
    os.makedirs(HOME, exist_ok=True)
    return os.path.join(HOME, name)


def books():
    db = sqlite3.connect(place("meter-readings.db"), timeout=30)
    db.execute(
        "CREATE TABLE IF NOT EXISTS readings"
        " (meter TEXT, day TEXT, kwh REAL, read_by TEXT, export TEXT, PRIMARY KEY (meter, day))"
    )
    return db


STEPS = {
    "ReadExport": read_export,
    "CheckRows": check_rows,
    "Clean": clean,
    "Store": store,
    "SetRejectedAside": set_aside,
    "Report": report,
    "SumUp": sum_up,
    "AskForNewExports": ask,
}

if __name__ == "__main__":
    print(json.dumps(STEPS[os.environ["ORDERFLOW_STEP"]](json.load(sys.stdin))))
