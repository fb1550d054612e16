"""Reviews a change by patterns. Inputs are one JSON object on standard input; what it prints are the outputs."""

import json
import os
import re
import sys

BUGS = [(r"except:\s*$", "blocker", "all errors are ignored"), (r"TODO", "note", "something is left to do")]


def added(change):
    """The lines that the change adds, with their file and number."""
    name, number = "", 0
    for line in change.splitlines():
        if line.startswith("+++ "):
            name = line[4:].removeprefix("b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)", line):
            number = int(hunk[1])
        elif line.startswith("+"):
            yield name, number, line[1:]
            number += 1
        elif line.startswith(" "):
            number += 1


def bugs(change):
    return [
        {"file": name, "line": number, "severity": severity, "title": title}
        for name, number, text in added(change)
        for pattern, severity, title in BUGS
        if re.search(pattern, text)
    ]


def gaps(change):
    names = {name for name, _, _ in added(change)}
    if any("test" in name for name in names):
        return []
    return [{"file": name, "severity": "warning", "title": "no test changes with it"} for name in sorted(names)]


def merge(given):
    rank = ["blocker", "warning", "note"]
    findings = sorted(given.get("bugs", []) + given.get("gaps", []), key=lambda one: rank.index(one["severity"]))
    blockers = sum(one["severity"] == "blocker" for one in findings)
    verdict = "request_changes" if blockers else "approve"
    return {"verdict": verdict, "summary": f"{len(findings)} findings, {blockers} blockers", "findings": findings}


given = json.load(sys.stdin)
step = os.environ["ORDERFLOW_STEP"]
made = {"FindBugs": lambda: bugs(given["change"]), "FindGaps": lambda: gaps(given["change"])}
print(json.dumps(made.get(step, lambda: {"review": merge(given)})()))
