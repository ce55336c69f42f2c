"""Places in a record, as they are written in a config."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.records.places import Header, JsonPath, Key, parse_path, parse_place

NAMES = st.text(st.characters(exclude_characters=".[]", codec="utf-8"), min_size=1)


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("text", ("text",)),
        ("event.message", ("event.message",)),
        ("$.key", ("key",)),
        ("$.header:x", ("header:x",)),
        ("items[0].text", ("items", 0, "text")),
        ("a.b[1][*].c.d[22]", ("a.b", 1, None, "c.d", 22)),
        ("[0]", (0,)),
        ("$[*].a", (None, "a")),
        ("@timestamp", ("@timestamp",)),
    ],
)
def test_path_has_its_parts(written: str, parts: tuple[str | int | None, ...]) -> None:
    assert parse_place(written) == JsonPath(written, parts)


def test_key_and_headers_are_places() -> None:
    assert parse_place("key") == Key()
    assert parse_place("header:x.y[0]") == Header("x.y[0]")
    assert parse_path("key").parts == ("key",)


@pytest.mark.parametrize("written", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a]", "[0]a", "$."])
def test_wrong_path_is_refused_with_its_form(written: str) -> None:
    with pytest.raises(ValueError, match=r"must be a path such as event.message"):
        parse_place(written)


def test_header_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="write header:NAME"):
        parse_place("header:")


@given(st.lists(st.lists(NAMES, min_size=1).map(".".join) | st.none() | st.integers(0, 99), min_size=1))
def test_parts_that_are_written_are_read_again(parts: list[str | int | None]) -> None:
    joined: list[str | int | None] = []
    for part in parts:  # names side by side are one dotted name
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] = f"{joined[-1]}.{part}"
        else:
            joined.append(part)
    steps = [f".{part}" if isinstance(part, str) else f"[{'*' if part is None else part}]" for part in joined]
    assert parse_path(f"${''.join(steps)}").parts == tuple(joined)
