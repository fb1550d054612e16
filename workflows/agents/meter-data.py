"""Reads, checks, cleans and stores meter readings. One program for all steps of data-pipeline.md.

The readings are a SQLite database, and what cannot be used lies beside it as CSV: in the folder that METER_DATA names,
else in .data beside the workflows.
"""

import csv
import datetime
import io
import json
import os
import sqlite3
import sys

HOME = os.environ.get("METER_DATA") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".data")
COLUMNS = ["meter", "day", "kwh", "read_by"]
BAD_INPUT = 65


def read_export(inputs):
    lines = csv.reader(io.StringIO(inputs["export"]))
    header = next(lines, [])
    if header != COLUMNS:
        print(f"the first line is {','.join(header)}, not {','.join(COLUMNS)}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    rows = [dict(zip(COLUMNS, cells, strict=False), line=lines.line_num) for cells in lines if cells]
    return {"rows": rows, "rows_read": len(rows)}


def check_rows(inputs):
    good, rejected = [], []
    for row in inputs["rows"]:
        why = fault(row)
        if why:
            rejected.append({**row, "why": why})
        else:
            good.append(row)
    share = len(rejected) / max(1, len(inputs["rows"]))
    return {"good_rows": good, "rejected": rejected, "rejected_share": round(share, 4), "rows_rejected": len(rejected)}


def fault(row):
    """Why a row cannot be used, if it cannot."""
    if any(row.get(column) is None for column in COLUMNS):
        return "cells are missing"
    if not row["meter"].strip():
        return "no meter"
    try:
        as_day(row["day"])
    except ValueError:
        return f"{row['day']!r} is no day"
    try:
        kwh = as_number(row["kwh"])
    except ValueError:
        return f"{row['kwh']!r} is no number"
    return "negative consumption" if kwh < 0 else None


def clean(inputs):
    readings = {}
    for row in inputs["good_rows"]:
        reading = {
            "meter": row["meter"].strip().upper(),
            "day": as_day(row["day"]).isoformat(),
            "kwh": as_number(row["kwh"]),
            "read_by": row["read_by"].strip(),
        }
        readings[reading["meter"], reading["day"]] = reading  # the last of two for one day holds
    return {"readings": list(readings.values()), "doubles": len(inputs["good_rows"]) - len(readings)}


def as_day(text):
    form = "%d.%m.%Y" if "." in text else "%Y-%m-%d"
    return datetime.datetime.strptime(text.strip(), form).date()


def as_number(text):
    return float(text.strip().replace(",", "."))


def store(inputs):
    with books() as db:
        before = db.execute("SELECT count(*) FROM readings").fetchone()[0]
        db.executemany(
            "INSERT INTO readings VALUES (:meter, :day, :kwh, :read_by, :export) ON CONFLICT (meter, day)"
            " DO UPDATE SET kwh = excluded.kwh, read_by = excluded.read_by, export = excluded.export",
            [{**reading, "export": os.environ["ORDERFLOW_ITEM"]} for reading in inputs["readings"]],
        )
        added = db.execute("SELECT count(*) FROM readings").fetchone()[0] - before
    return {"stored": {"added": added, "replaced": len(inputs["readings"]) - added}}


def set_aside(inputs):
    path = os.path.join(HOME, f"rejected-{os.environ['ORDERFLOW_ITEM']}.csv")
    os.makedirs(HOME, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["line", *COLUMNS, "why"])
        writer.writeheader()
        writer.writerows(inputs["rejected"])
    return {"rejected_file": os.path.basename(path)}


def report(inputs):
    item = os.environ["ORDERFLOW_ITEM"]
    with books() as db:
        totals = db.execute(
            "SELECT meter, count(*), sum(kwh) FROM readings WHERE export = ? GROUP BY meter ORDER BY meter", (item,)
        ).fetchall()
    lines = [f"# {item}", "", f"{inputs['stored']['added']} readings are new, {inputs['stored']['replaced']} replaced."]
    if inputs.get("rejected_file"):
        count = len(inputs["rejected"])
        lines.append(f"{count} {'row' if count == 1 else 'rows'} could not be used: see {inputs['rejected_file']}.")
    lines += ["", "| meter | days | kWh |", "|---|---:|---:|"]
    lines += [f"| {meter} | {days} | {total:.2f} |" for meter, days, total in totals]
    path = os.path.join(HOME, f"report-{item}.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return {"report": os.path.basename(path)}


def books():
    os.makedirs(HOME, exist_ok=True)
    db = sqlite3.connect(os.path.join(HOME, "meter-readings.db"), timeout=30)
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
}

if __name__ == "__main__":
    print(json.dumps(STEPS[os.environ["ORDERFLOW_STEP"]](json.load(sys.stdin))))
