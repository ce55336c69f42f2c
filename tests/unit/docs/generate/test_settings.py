"""Every key of a config file, with values and default."""

import re

import pytest

from docs.generate.settings import settings
from labelstream.workers.config.keys import known_keys


@pytest.fixture(scope="module")
def page() -> str:
    return settings()


def test_every_key_has_a_heading_once(page: str) -> None:
    headings = re.findall(r"^#+ `(.*)`$", page, re.MULTILINE)
    assert sorted(heading.removesuffix(".NAME") for heading in headings) == sorted(map(".".join, known_keys()))


def test_keys_of_a_section_come_before_its_sections(page: str) -> None:
    order = [
        "### `kafka`",
        "`kafka.compression`",
        "### `kafka.security`",
        "`kafka.security.protocol`",
        "### `models.NAME`",
    ]
    places = [page.index(heading) for heading in order]
    assert places == sorted(places)
    assert page.index("`models.NAME.replicas.max`") < page.index("### `pipelines.NAME`")


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("pipelines.NAME.input", "Values: name, list of names or `{pattern}`. Required."),
        ("kafka.compression", "Values: `none`, `gzip`, `snappy`, `lz4` or `zstd`. Default: `lz4`."),
        ("models.NAME.max_delay_ms", "Values: number from 0 to 10,000. Default: `5`."),
        ("models.NAME.replicas", "Values: whole number from 1 to 10,000 or `{min, max}`. Default: `{min: 1, max: 1}`."),
        ("pipelines.NAME.fields.text_separator", "Values: text or `null`. Default: `null`."),
        ("pipelines.NAME.models", "Values: list of names. Default: `[]`."),
        ("models.NAME.multi_label", "Values: `true` or `false`. Default: `false`."),
    ],
)
def test_key_has_its_values_and_default(page: str, key: str, facts: str) -> None:
    assert facts in page.partition(f"#### `{key}`\n")[2].partition("####")[0]


def test_secret_has_no_value_in_the_file(page: str) -> None:
    assert "Values" not in page.partition("#### `kafka.security.password`\n")[2].partition("####")[0]
