"""Arguments that several commands share."""

import pytest

from labelstream.deploy.cli.common.arguments import DEMO_MODEL, parse_topic_partition_offset
from labelstream.workers.errors import ConfigError


def test_topic_may_have_dots_and_dashes() -> None:
    assert parse_topic_partition_offset("feed-back.raw:3:4711", "--at") == ("feed-back.raw", 3, 4711)


@pytest.mark.parametrize("text", ["", "t", "t:1", "t:1:", "t:-1:2", "t:1:2:3", "a b:1:2", ":1:2", "t:x:2"])
def test_invalid_place_names_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--at: .* is not TOPIC:PARTITION:OFFSET; for example feedback\.raw:3:4711"):
        parse_topic_partition_offset(text, "--at")


def test_demo_model_is_shipped() -> None:
    assert (DEMO_MODEL / "model.safetensors").is_file()
