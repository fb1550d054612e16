"""Writes and reviews articles by rules. It is a stand-in for two language models: the same texts go in, and the same types
come out. The reviewer makes one remark a round, the worst first; the writer follows it if it can."""

import re

import contract

SOURCE = "a number has no source"
LEAD = "the lead is missing"
END = "the end is missing"


def write(_, call):
    topic, notes = call.inputs["topic"], call.inputs["notes"]
    draft, review = call.inputs.get("draft"), call.inputs.get("review") or {}
    if draft is None:
        draft = "\n\n".join([f"# {topic}", *notes])
    elif review.get("remark") == LEAD:
        title, rest = draft.split("\n\n", 1)
        draft = f"{title}\n\n**This article says what to know about {topic.lower()}, in short.**\n\n{rest}"
    elif review.get("remark") == END:
        draft += f"\n\nThat is what we know about {topic.lower()} today. Write to us if you know more."
    # A source cannot be made up: the draft stays as it is.
    return {"draft": draft, "written_by": "rules"}


def review(_, call):
    paragraphs = call.inputs["draft"].split("\n\n")
    remark = None
    if any(re.search(r"\d", each) and "(source: " not in each for each in paragraphs[1:]):
        remark = SOURCE
    elif not paragraphs[1:2] or not paragraphs[1].startswith("**"):
        remark = LEAD
    elif not paragraphs[-1].startswith("That is what we know"):
        remark = END
    return {"review": {"approved": remark is None, "remark": remark}, "written_by": "rules"}


contract.serve(lambda: None, Write=write, Review=review)
