"""Inspects a model's untrusted config and tokenizer in a process of its own, without torch and transformers.

    python -m labelstream.workers.engine.inspection.inspect_files FOLDER

Prints one line per file before it reads that file, and at the end `refused: REASON` or `fine`. If the process dies,
by its limits of memory and time or by a crash in the tokenizer's native code, its last line names the cause.
"""

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from labelstream.workers.core_dumps import forbid_core_dumps

REFUSED, FINE = "refused: ", "fine"
MAX_MEMORY_BYTES = 4 << 30
MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES = 16 << 20, 256 << 20
MAX_LABELS, MAX_LAYERS = 100_000, 10_000
# Growth of a text in normalizer and tokenizer: NFKC makes 18 characters of U+FDFA, and a byte-level vocabulary may need
# a token per byte.
MAX_CHARS_PER_CHAR, MAX_TOKENS_PER_CHAR = 32, 64
_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_VOCABULARIES = ("vocab*", "*vocab.*", "*.model", "merges.txt", "*.bpe")
_LONG_RUN = 5_000
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()  # a killed process would lose the line


class Refused(Exception):
    """A file is not safe to load. The text is the reason, which follows the model's name."""


def inspect(folder: Path) -> None:
    """Raises Refused if the config or the tokenizer in `folder` is not safe to load."""
    _say("its config.json")
    _check_config(_json_of(folder / "config.json", MAX_CONFIG_BYTES))
    file = folder / "tokenizer.json"
    if file.is_file():
        _say("its tokenizer.json")
        _check_tokenizer(file)
    elif not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        raise Refused(
            "no tokenizer (tokenizer.json, or a vocabulary to make it from); save the tokenizer in the model's folder"
        )


def _json_of(file: Path, limit: int) -> Any:
    size = file.stat().st_size
    if size > limit:
        raise Refused(f"{file.name} has {size >> 20} MiB, more than {limit >> 20}; download or save the model again")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise Refused(f"{file.name} is not JSON; download or save the model again") from None


def _check_config(config: Any) -> None:
    if not isinstance(config, dict):
        raise Refused("config.json is not a mapping; download or save the model again")
    for part in _mappings(config):
        _check_part(part)


def _mappings(tree: Any) -> Iterator[dict[str, Any]]:
    """`tree` and all nested mappings, such as the config of a text model inside another one."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _check_part(config: dict[str, Any]) -> None:
    if config.get("quantization_config"):
        raise Refused(
            "its config.json asks for quantized weights (quantization_config), which need other libraries; use the "
            "model in float32, float16 or bfloat16"
        )
    if keys := [key for key in _ATTENTION if "/" in str(config.get(key))]:
        raise Refused(f"its config.json asks for code of the hub ({', '.join(keys)}), which is never run; remove it")
    labels = config.get("num_labels")
    mapped = config.get("id2label")
    count = max(labels if isinstance(labels, int) else 0, len(mapped) if isinstance(mapped, dict) else 0)
    if count > MAX_LABELS:
        raise Refused(f"its config.json has {count} labels, more than {MAX_LABELS}; correct num_labels")
    for key in ("num_hidden_layers", "n_layers", "n_layer", "num_layers"):
        layers = config.get(key)
        if isinstance(layers, int) and layers > MAX_LAYERS:
            raise Refused(f"its config.json has {layers} layers, more than {MAX_LAYERS}; correct {key}")


def _check_tokenizer(file: Path) -> None:
    parts = _json_of(file, MAX_TOKENIZER_BYTES)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise Refused(f"its tokenizer.json cannot be read: {' '.join(str(error).split())[:200]}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in _probes(parts):
        _say(f"its tokenizer, reading {len(text)} characters,")
        made = len(tokenizer.normalizer.normalize_str(text)) if tokenizer.normalizer else len(text)
        if made > MAX_CHARS_PER_CHAR * len(text):
            raise Refused(f"its normalizer turns {len(text)} characters into {made}; correct tokenizer.json")
        tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
        if tokens > MAX_TOKENS_PER_CHAR * len(text):
            raise Refused(f"its tokenizer turns {len(text)} characters into {tokens} tokens; correct tokenizer.json")


def _probes(parts: Any) -> Iterator[str]:
    """Texts that take an ordinary tokenizer a few milliseconds, and a hostile one too much time or memory."""
    yield _PRINTABLE
    normalizer = parts.get("normalizer") if isinstance(parts, dict) else None
    written = {part["String"] for part in _mappings(normalizer) if isinstance(part.get("String"), str)}
    yield from (text[:200] for text in sorted(written) if text)
    for length in (30, _LONG_RUN):  # a backtracking regular expression takes twice as long for each further character
        yield from (char * length for char in "aA1 ._")
        yield ("aA" * length)[:length]


def main() -> None:
    """Run the inspection with limited memory; see the module."""
    forbid_core_dumps()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    try:
        inspect(Path(sys.argv[1]))
    except Refused as reason:
        _say(f"{REFUSED}{reason}")
    else:
        _say(FINE)


if __name__ == "__main__":
    main()
