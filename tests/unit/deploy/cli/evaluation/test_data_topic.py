"""Records of a topic as examples; tests/integration/test_evaluate.py reads a real one."""

from labelstream.deploy.cli.evaluation.data_topic import _add
from labelstream.deploy.cli.evaluation.fields import ExampleReader, FieldNames


def test_records_without_text_or_label_are_left_out_and_named() -> None:
    reader = ExampleReader(FieldNames(label="truth"))
    for offset, value in enumerate((b"\xff", None, b"[1]", b'{"text":"a"}', b'{"text":"a","truth":1}', b'{"truth":1}')):
        _add(f"t:0:{offset}", value, reader)
    found = reader.examples("topic t")
    assert (list(found.texts), found.gold, found.places) == ([("a", None)], [1], ["t:0:4"])
    assert [reason.partition("; ")[0] for reason in found.left_out] == [
        "t:0:0: not a JSON object",
        "t:0:1: not a JSON object",
        "t:0:2: not a JSON object",
        "t:0:3: no field 'truth'",
        "t:0:5: no text at text",
    ]
