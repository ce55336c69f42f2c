"""Workers' answers to an operator's commands, as the control plane passes them on."""

from labelstream.deploy.control.reports import Answer


def done(text: str) -> Answer:
    return {"status": "done", "text": text}
