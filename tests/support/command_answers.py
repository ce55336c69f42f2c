"""Answers of workers to an operator's commands, as the control plane hands them on."""

from labelstream.deploy.control.reports import Answer


def done(text: str) -> Answer:
    return {"status": "done", "text": text}
