"""Reads the names of a model's labels from its config, and refuses ambiguous names. No torch."""

from collections.abc import Mapping
from typing import Any

from labelstream.workers.errors import ModelError

_EXAMPLES = {"id2label": '{"0": "NEGATIVE", "1": "POSITIVE"}', "label2id": '{"NEGATIVE": 0, "POSITIVE": 1}'}


def check_mappings(source: str, config: Mapping[str, Any], named: bool) -> None:
    """Check the raw config.json, because transformers crashes on wrong mappings and silently drops names.

    `named`: whether the task uses the label names. Raises ModelError naming the key and the fix.
    """
    for key, example in _EXAMPLES.items():
        value = config.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise ModelError(
                f"{source}: {key} in config.json is a {type(value).__name__}; it must be a mapping such as {example}"
            )
    names: Mapping[Any, Any] | None = config.get("id2label")
    if names is None:
        return
    for number in names:
        if not _is_number(number):
            raise ModelError(
                f"{source}: id2label in config.json has the key {number!r}, which is not a number; write it as "
                f"{_EXAMPLES['id2label']}"
            )
    count = config.get("num_labels")
    if named and count is not None and count != len(names):
        raise ModelError(
            f"{source}: num_labels in config.json is {count!r}, but id2label names {len(names)}; remove "
            "num_labels, or name all labels in id2label"
        )


def id2label_of(config: Mapping[str, Any]) -> dict[int, str] | None:
    """id2label of a config.json that only has label2id; else None. transformers would use LABEL_0, LABEL_1, ..."""
    names: Mapping[str, Any] | None = config.get("label2id")
    if config.get("id2label") is not None or not names or not all(map(_is_number, names.values())):
        return None
    return {int(number): name for name, number in names.items()}


def label_names(source: str, id2label: Mapping[int, Any] | None, count: int | None) -> tuple[str, ...]:
    """The label names in the order of their ids. Raises ModelError naming the key and the fix."""
    if not id2label or sorted(id2label) != list(range(count or 0)):
        found = ", ".join(map(str, list(id2label or ())[:10])) or "none"
        raise ModelError(
            f"{source}: id2label in config.json must name the ids 0..{(count or 1) - 1}, each once; it names {found}"
        )
    names: list[str] = []
    for i in range(len(id2label)):
        name = id2label[i]
        if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
            raise ModelError(
                f"{source}: id2label in config.json has {name!r} for the id {i}; write a name that is not empty"
            )
        if str(name) in names:
            raise ModelError(
                f"{source}: id2label in config.json gives the ids {names.index(str(name))} and {i} the same name "
                f"{str(name)!r}; give each id its own name"
            )
        names.append(str(name))
    return tuple(names)


def renamed(source: str, labels: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    """`labels`, some renamed by `names` (old -> new). Raises ModelError for an unknown label and for equal names."""
    if not names:
        return labels
    for label in names:
        if label not in labels:
            raise ModelError(
                f"{source}: label_names: {label!r} is no label of the model; name one of "
                f"{', '.join(labels[:10])}{' and more' if len(labels) > 10 else ''}"
            )
    found = tuple(names.get(label, label) for label in labels)
    if len(set(found)) < len(found):
        twice = next(label for label in names.values() if found.count(label) > 1)
        raise ModelError(f"{source}: label_names: two labels are called {twice!r}; give each its own name")
    return found


def check_labels(
    source: str, config: Mapping[str, Any], zero_shot: bool, new_names: Mapping[str, str] | None = None
) -> None:
    """Check a classifier's labels by its config.json alone, without loading the model. Raises ModelError."""
    check_mappings(source, config, named=True)
    names = id2label_of(config) or config.get("id2label") or {}
    in_order = tuple(str(names[number]) for number in sorted(names, key=int))
    if in_order:  # without names transformers uses LABEL_0, LABEL_1, ...
        renamed(source, in_order, new_names or {})
    if zero_shot:
        required_entailment_id(source, in_order, config.get("label2id"))


def required_entailment_id(source: str, names: tuple[str, ...], label2id: Mapping[Any, Any] | None) -> int:
    """As `entailment_id`. Raises ModelError if there is no entailment label, or no other label."""
    found = entailment_id(source, names, label2id)
    if found is None or len(names) < 2:
        raise ModelError(
            f"{source}: task zero-shot-classification needs a model of natural language inference, with a "
            "label 'entailment' in label2id of config.json; name another model, or set another task"
        )
    return found


def entailment_id(source: str, names: tuple[str, ...], label2id: Mapping[Any, Any] | None) -> int | None:
    """The id of the label 'entailment', by the rule of `ZeroShotClassificationPipeline`; None without one.

    Searches label2id first, as transformers does, and then `names`. Raises ModelError if the two disagree.
    """
    by_name = next((i for i, name in enumerate(names) if name.lower().startswith("entail")), None)
    given = {str(name): number for name, number in (label2id or {}).items()}
    by_label2id = next((name for name in given if name.lower().startswith("entail")), None)
    if by_label2id is None:
        return by_name
    number = given[by_label2id]
    if not _is_number(number) or not 0 <= int(number) < len(names):
        raise ModelError(
            f"{source}: label2id in config.json has {number!r} for {by_label2id!r}; it must be one of the "
            f"ids 0..{len(names) - 1}"
        )
    if by_name is not None and by_name != int(number):
        raise ModelError(
            f"{source}: label2id and id2label in config.json disagree on the id of {by_label2id!r}: "
            f"{number} and {by_name}; correct one of them"
        )
    return int(number)


def _is_number(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and value.isascii() and value.isdigit())
