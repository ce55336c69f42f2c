"""Decodes bytes with the decoder of a pipeline's settings."""

from typing import Any

from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.codec.decode import decoder


def pipeline(**more: Any) -> PipelineSettings:
    return PipelineSettings(**{"input": "in", "output": "out", "dead_letter": "dlq", "model": "m", **more})


decode = decoder(pipeline(models=["other"]))


UNREAD = [
    b"12345678901234567890",
    b"9" * 5_000,
    b"1e999",
    b"NaN",
    b"[-Infinity, 1]",
    b'{"k":1,"k":{"k":NaN,"k":2}}',
    b"-0.0e-3",
    b'"\\ud800"',
    b'"\xff"',
    b'"a\nb"',
    b"[" * 3_000 + b"]" * 3_000,
    b'{"a":' * 3_000 + b"[]" + b"}" * 3_000,
    b"{}",
    b'[ {"a" : [ ] , "b":{ } } , "}]\\"", null , true,false ]',
]
