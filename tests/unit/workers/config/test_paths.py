"""Relative paths in a config file are relative to the file's folder."""

import os
from pathlib import Path

import pytest

from labelstream.workers.config.paths import with_absolute_paths
from labelstream.workers.config_file import load_settings, read_config_file, secret_of
from labelstream.workers.engine.loading.hub import locate
from labelstream.workers.errors import ConfigError, ModelError

CONFIG = """
kafka:
  bootstrap_servers: h:1
  security: {{protocol: SASL_SSL, sasl_mechanism: PLAIN, username: u, password_file: secrets/pw, ca_file: ../ca.pem,
    cert_file: /etc/cert.pem, key_file: ~/key.pem}}
models:
  m: {{source: {source}, quantize: int8, calibration_texts: texts.txt}}
pipelines:
  p: {{input: a, output: b, dead_letter: c, model: m}}
"""


def source_in(folder: Path, source: str) -> str:
    return with_absolute_paths({"models": {"m": {"source": source}}}, folder)["models"]["m"]["source"]


def test_relative_paths_are_resolved_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    (tmp_path / "here/c.yaml").write_text(CONFIG.format(source="./model"))
    settings = load_settings(read_config_file("here/c.yaml"))
    security = settings.required_kafka.security
    assert security.password_file == tmp_path / "here/secrets/pw"
    assert security.ca_file == tmp_path / "ca.pem"
    assert security.cert_file == Path("/etc/cert.pem")
    assert security.key_file == Path("/home/somebody/key.pem")
    assert settings.models["m"].source == str(tmp_path / "here/model")
    assert settings.models["m"].calibration_texts == tmp_path / "here/texts.txt"


@pytest.mark.parametrize("source", [".", "./model", "../model", "models/a/b", "/models/a"])
def test_directory_source_becomes_absolute(tmp_path: Path, source: str) -> None:
    assert source_in(tmp_path, source) == os.path.normpath(tmp_path / source)


@pytest.mark.parametrize("source", ["bert-base", "distilbert/xyz", "~/model", ""])
def test_hub_id_and_home_path_stay_unchanged(tmp_path: Path, source: str) -> None:
    assert source_in(tmp_path, source) == source


def test_hub_id_with_a_local_directory_is_that_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "config/distilbert/xyz").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert source_in(tmp_path / "config", "distilbert/xyz") == str(tmp_path / "config/distilbert/xyz")
    assert source_in(tmp_path / "elsewhere", "distilbert/xyz") == "distilbert/xyz"


def test_missing_path_is_named_as_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=f"^{tmp_path}/none: no such directory"):
        locate("./none")
    (tmp_path / "c.yaml").write_text(CONFIG.format(source="./model"))
    security = load_settings(read_config_file("c.yaml")).required_kafka.security
    with pytest.raises(ConfigError, match=f"{tmp_path}/secrets/pw cannot be read"):
        secret_of(None, security.password_file, "kafka.security.password_file")


def test_values_other_than_paths_stay_unchanged(tmp_path: Path) -> None:
    strange = {"models": [1], "kafka": {"security": None, 3: "x"}, "pipelines": {"p": {"input": "./in"}}}
    assert with_absolute_paths(strange, tmp_path) == strange
