"""The known keys, and the nearest known key of an unknown one."""

import pytest

from labelstream.workers.config.keys import known_key, known_keys, nearest


def test_every_key_has_a_short_description() -> None:
    for key, field in known_keys().items():
        text = field.description or ""
        assert text[:1].isupper(), key
        assert text.endswith("."), key
        assert len(text) < 220, key
    assert ("pipelines", "NAME", "breaker", "max_share") in known_keys()
    assert ("models", "NAME", "replicas", "min") in known_keys()
    assert len(known_keys()) > 80


def test_durations_and_sizes_say_their_unit() -> None:
    units = {"_ms": "Milliseconds", "_s": "Seconds", "_bytes": "Bytes", "_tokens": "Tokens", "_chars": "Characters"}
    for key, field in known_keys().items():
        for ending, unit in units.items():
            if key[-1].endswith(ending):
                assert str(field.description).startswith(unit), key


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        (("kafak",), "kafka"),
        (("kafka", "bootstrap"), "bootstrap_servers"),
        (("kafka", "security", "pasword_file"), "password_file"),
        (("models", "any", "max_batch_token"), "max_batch_tokens"),
        (("models", "any", "replicas", "mn"), "min"),
        (("models", "any", "max_in_flight"), "pipelines.NAME.max_in_flight"),
        (("pipelines", "any", "limits", "max_mesage_bytes"), "max_message_bytes"),
        (("pipelines", "any", "WORKERS"), "workers"),
        (("bootstrap_servers",), "kafka.bootstrap_servers"),
        (("qqq",), None),
    ],
)
def test_nearest_finds_the_key_that_was_meant(place: tuple[str, ...], meant: str | None) -> None:
    assert nearest(place) == meant


@pytest.mark.parametrize(
    ("place", "key"),
    [
        (("models", "m", "num_gpus", "float"), ("models", "NAME", "num_gpus")),
        (("models", "m"), ("models", "NAME")),
        (("pipelines", "p", "models", 0), ("pipelines", "NAME", "models")),
        (("nothing", "x"), ()),
    ],
)
def test_known_key_finds_the_key_of_an_error(place: tuple[int | str, ...], key: tuple[str, ...]) -> None:
    assert known_key(place) == key
