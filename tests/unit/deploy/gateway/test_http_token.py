from pathlib import Path

import pytest

from labelstream.deploy.gateway.http_token import token_of
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.http import HttpSettings


def test_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert token_of(HttpSettings()) is None
    assert token_of(HttpSettings.model_validate({"token": "given"})) == "given"
    assert token_of(HttpSettings(token_file=file)) == "secret"


@pytest.mark.parametrize("content", [None, " \n", "a\nb\n"])
def test_unusable_token_file_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        token_of(HttpSettings(token_file=file))
    assert caught.value.key == "http.token_file"
