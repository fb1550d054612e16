"""Reviews changes by patterns. It is a stand-in for coding agents: it gets the same diff and returns the same types,
but it only sees the lines of the diff, and finds what a few patterns describe."""

import re

import contract

BUGS = [
    (r"\bexcept\s*:", "warning", "every error is caught", "A bare except hides mistakes and stops Ctrl-C."),
    (r"[!=]= *None\b", "note", "None is compared by value", "Compare with `is None`."),
    (r"\.unwrap\(\)", "warning", "an error becomes a panic", "Handle the error, or say why it cannot happen."),
]
HOLES = [
    (r"\beval\(|\bexec\(", "blocker", "text is run as code", "Whoever writes the text decides what runs."),
    (r"shell *= *True", "blocker", "a command goes through a shell", "A value with a `;` in it starts another command."),
    (r"(?i)(password|secret|api_key|token) *= *[\"'][^\"']+[\"']", "blocker", "a secret is in the code",
     "Read it from the environment, and change it."),
]


def added(diff):
    """The lines that a diff adds: file, line number and text."""
    file, number = None, 0
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = line[4:].split("\t")[0]
            file = None if path == "/dev/null" else re.sub("^b/", "", path)
        elif match := re.match(r"@@ -\S+ \+(\d+)", line):
            number = int(match[1]) - 1
        elif line.startswith("+") and file:
            number += 1
            yield file, number, line[1:]
        elif not line.startswith("-"):
            number += 1


def search(patterns, diff):
    return [
        {"file": file, "line": number, "severity": severity, "title": title, "detail": detail}
        for file, number, text in added(diff)
        for pattern, severity, title, detail in patterns
        if re.search(pattern, text)
    ]


def find_bugs(_, call):
    return {"bugs": search(BUGS, call.inputs["change"]), "reviewed_by": "patterns"}


def find_holes(_, call):
    return {"holes": search(HOLES, call.inputs["change"]), "reviewed_by": "patterns"}


def find_gaps(_, call):
    files = {file for file, _, _ in added(call.inputs["change"])}
    tests = {file for file in files if re.search(r"(^|/)tests?[/_.]|_test\.", file)}
    code = sorted(file for file in files - tests if re.search(r"\.(py|rs|js|ts|go|java|c|cpp|rb)$", file))
    gaps = [] if tests else [
        {"file": file, "severity": "warning", "title": "the change has no test", "detail": f"Write a test for {file}."}
        for file in code
    ]
    return {"gaps": gaps, "reviewed_by": "patterns"}


def merge_findings(_, call):
    parts = {name: call.inputs.get(name) for name in ("bugs", "holes", "gaps")}
    missing = [name for name, found in parts.items() if found is None]
    findings = [finding for found in parts.values() for finding in found or []]
    findings.sort(key=lambda finding: ["blocker", "warning", "note"].index(finding["severity"]))
    blocked = any(finding["severity"] == "blocker" for finding in findings)
    count = len(findings)
    summary = f"{count} finding{'' if count == 1 else 's'} by patterns." + (
        f" Missing: {', '.join(missing)}." if missing else "")
    verdict = "request_changes" if blocked else "approve"
    return {"review": {"verdict": verdict, "summary": summary, "findings": findings}, "reviewed_by": "patterns"}


contract.serve(lambda: None, FindBugs=find_bugs, FindHoles=find_holes, FindGaps=find_gaps,
               MergeFindings=merge_findings)
