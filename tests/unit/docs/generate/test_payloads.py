"""The payloads' fields, and what each reason and stage means."""

from docs.generate.payloads import (
    dead_letter_headers,
    message_fields,
    reasons,
    request_reasons,
    result_fields,
    stages,
)
from labelstream.schemas.dead_letter import DeadLetterHeaders, Reason, Stage
from labelstream.schemas.message import TextMessage
from labelstream.schemas.request_error import RequestReason


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_every_field_of_a_message_has_a_meaning() -> None:
    fields = rows(message_fields())
    assert [field[0].strip("`") for field in fields] == list(TextMessage.model_fields)
    assert [field for field in fields if not field[3]] == []
    assert fields[0][:3] == ["`text`", "text", "yes"]


def test_results_of_each_task_have_their_own_fields() -> None:
    common, *of_tasks = result_fields().split("With `task` ")
    assert "| `tokens` | whole number from 1 |" in common
    assert [part.split(":")[0] for part in of_tasks] == [
        "`text-classification` or `zero-shot-classification`",
        "`fill-mask`",
        "`feature-extraction`",
    ]
    assert "`embedding`" in of_tasks[2]
    assert "|  |" not in result_fields()


def test_every_header_of_a_dead_letter_has_a_meaning() -> None:
    headers = rows(dead_letter_headers())
    assert len(headers) == len(DeadLetterHeaders.model_fields)
    assert [header for header in headers if not header[2]] == []


def test_every_reason_and_stage_has_a_meaning() -> None:
    assert [row[0] for row in rows(reasons())] == [f"`{reason}`" for reason in Reason]
    assert [row[0] for row in rows(stages())] == [f"`{stage}`" for stage in Stage]
    assert [row[0] for row in rows(request_reasons())] == [f"`{reason}`" for reason in RequestReason]
