"""Does all steps; ORDERFLOW_STEP names the step. Inputs are one JSON object on standard input. It writes to out/."""

import csv
import json
import os
import pathlib
import sys


def write(name, text):
    path = pathlib.Path("out", name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def check(rows):
    readings, rejected = [], []
    for row in rows:
        try:
            kwh = float(row["kwh"])
            if kwh < 0 or not row["meter"]:
                raise ValueError
            readings.append({"meter": row["meter"].upper(), "day": row["day"], "kwh": kwh})
        except ValueError:
            rejected.append(row)
    return {"readings": readings, "rejected": rejected}


given = json.load(sys.stdin)
step = os.environ["ORDERFLOW_STEP"]
name = pathlib.Path(given["export"]).stem if "export" in given else ""
if step == "ReadExport":
    with open(given["export"], newline="", encoding="utf-8") as file:
        made = {"rows": list(csv.DictReader(file))}
elif step == "CheckRows":
    made = check(given["rows"])
elif step == "SetRejectedAside":
    made = {"rejected_file": write(f"rejected-{name}.json", json.dumps(given["rejected"], indent=2))}
elif step == "Store":
    readings = given["readings"]
    write(f"{name}.json", json.dumps(readings, indent=2))
    made = {"stored": {"export": name, "readings": len(readings), "kwh": sum(one["kwh"] for one in readings)}}
elif step == "SumUp":
    lines = [f"{one['export']}: {one['readings']} readings, {one['kwh']:.1f} kWh" for one in given["stored"]]
    made = {"summary": write("summary.txt", "\n".join(lines) + "\n")}
else:
    lines = [f"{one['key']}: {one['error']['message']}" for one in given["failed_exports"]]
    made = {"request": write("failed.txt", "\n".join(lines) + "\n")}
print(json.dumps(made))
