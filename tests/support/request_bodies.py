"""Bodies of HTTP requests, right and wrong, for tests that no body makes a server fail."""

from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(), max_size=12)  # with lone surrogates
WORDS = st.sampled_from(["good", "bad [MASK]", "[MASK] and [MASK]", "good " * 100, "", " \t", "nul\x00"]) | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def bodies(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with any of `fields`, mostly with values of their strategies, else with any JSON; and JSON in general."""
    near = {name: values | values | values | JSON for name, values in fields.items()}
    return st.fixed_dictionaries({}, optional=near) | JSON
