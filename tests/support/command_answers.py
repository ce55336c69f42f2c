"""Answers of workers to an operator's commands, as the control plane hands them on."""


def done(text: str) -> dict[str, str]:
    return {"status": "done", "text": text}
