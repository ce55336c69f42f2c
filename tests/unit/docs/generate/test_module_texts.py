"""What the expressions of a module may say."""

import ast
from pathlib import Path

import pytest

from docs.generate.module_texts import ModuleTexts, parsed

SOURCE = """
from labelstream.workers.settings.environment import ENV_PREFIX

KEY = "kafka.security"


def _reason(error):
    if error:
        return "it is down"
    return f"no answer from {error.host}"


class Reader:
    def read(self, topic, options):
        fix = "set a" if topic else "set b"
        say({expression})
"""


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ('"plain"', ["plain"]),
        ("f\"topic {topic}: {options.max_age} {options['kind']}\"", ["topic TOPIC: MAX_AGE KIND"]),
        ('f"{KEY}.file" + " is damaged"', ["kafka.security.file is damaged"]),
        ('f"{ENV_PREFIX}KAFKA"', ["LABELSTREAM_KAFKA"]),
        ("fix", ["set a", "set b"]),
        ('f"now {fix}"', ["now set a or set b"]),
        ("_reason(topic)", ["it is down", "no answer from HOST"]),
        ('topic or "none"', ["TOPIC", "none"]),
        ("f\"one of {', '.join(sorted(options.names))}\"", ["one of NAMES"]),
        ('f"{len(topic)} of {type(topic).__name__}"', ["… of …"]),
    ],
)
def test_expression_as_text(tmp_path: Path, expression: str, texts: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE.replace("{expression}", expression))
    module = ModuleTexts(path)
    scope, call = next((scope, node) for scope, node in module.nodes() if ast.unparse(node).startswith("say("))
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert scope.owner == "Reader"
    assert sorted(module.texts(call.value.args[0], scope.function)) == sorted(texts)


def test_module_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("A = 1")
    assert parsed(path) is parsed(path)
