"""What can be served and what is refused, each with a line that names the fix."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import errors

from labelstream.workers.engine.backends.pytorch.prepacked_linear import PrepackedLinear, pack_linears
from labelstream.workers.engine.description import Activation, TaskName
from labelstream.workers.engine.loading import device
from labelstream.workers.engine.loading import hub as source
from labelstream.workers.engine.loading.describe import activation_of
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError
from tests.support.models import MAX_LENGTH, build, edit_config

Folders = Callable[[str], Path]


@pytest.fixture
def copied(model_folder: Folders, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder("distilbert"), tmp_path / "model"))


def refusal(folder: Path | str, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(folder), ModelOptions(device="cpu", **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_description_says_all_that_the_worker_needs(copied: Path) -> None:
    description, backend = load(str(copied), ModelOptions(device="cpu", dtype="float32", max_length=16))
    assert description.labels == ("a", "b", "c")
    assert (description.max_length, description.top_k, description.task) == (16, 3, "text-classification")
    assert description.activation is Activation.SOFTMAX
    assert description.revision == source.revision_of(copied)
    assert (backend.device_type, backend.pad_id) == ("cpu", 0)
    assert load(str(copied), ModelOptions(device="cpu", top_k=2))[0].top_k == 2


def test_a_directory_needs_no_network(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setattr("socket.socket.connect", no_network)
    assert load(str(copied), ModelOptions(device="cpu"))[0].labels == ("a", "b", "c")


def test_the_revision_of_a_directory_follows_its_content(copied: Path) -> None:
    before = source.revision_of(copied)
    assert before.startswith("dir-")
    (copied / "notes.md").write_text("not part of the model")
    assert source.revision_of(copied) == before
    edit_config(copied, id2label={"0": "x", "1": "b", "2": "c"})
    assert source.revision_of(copied) != before


def test_a_folder_of_the_hubs_cache_keeps_its_commit(tmp_path: Path) -> None:
    folder = tmp_path / "models--o--n" / "snapshots" / ("0123456789" * 4)
    folder.mkdir(parents=True)
    assert source.revision_of(folder) == "0123456789" * 4


@pytest.mark.parametrize(
    ("family", "own", "expected"),
    [("roberta", None, MAX_LENGTH), ("mpnet", None, MAX_LENGTH), ("bert", None, MAX_LENGTH), ("bert", 32, 32)],
)
def test_the_length_is_what_tokenizer_and_positions_take(
    tmp_path: Path, family: str, own: int | None, expected: int
) -> None:
    folder = build(tmp_path / "model", family, model_max_length=own)
    assert load(str(folder), ModelOptions(device="cpu"))[0].max_length == expected
    assert load(str(folder), ModelOptions(device="cpu", max_length=9))[0].max_length == 9
    assert load(str(folder), ModelOptions(device="cpu", max_length=9_999))[0].max_length == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"problem_type": "regression", "num_labels": 3}, Activation.NONE),
        ({"problem_type": "multi_label_classification", "num_labels": 3}, Activation.SIGMOID),
        ({"num_labels": 1}, Activation.SIGMOID),
        ({"num_labels": 2}, Activation.SOFTMAX),
        ({"problem_type": "single_label_classification", "num_labels": 2}, Activation.SOFTMAX),
        ({"num_labels": 2, "function_to_apply": "none"}, Activation.SOFTMAX),  # as the pipeline: it never gets there
    ],
)
def test_the_activation_follows_the_config(settings: dict[str, Any], expected: Activation) -> None:
    assert activation_of(transformers.BertConfig(**settings)) is expected


def test_pickled_weights_are_never_read(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    assert "only pickled weights" in refusal(copied)
    (copied / "pytorch_model.bin").unlink()
    assert "no weights" in refusal(copied)


@pytest.mark.parametrize("architecture", ["Model", "ForMaskedLM"])
def test_a_head_that_nobody_trained_is_never_served(tmp_path: Path, architecture: str) -> None:
    folder = build(tmp_path / "model", "distilbert", architecture=architecture)
    assert f"DistilBert{architecture} is not a sequence classifier" in refusal(folder)
    edit_config(folder, architectures=["DistilBertForSequenceClassification"])  # it only says so
    message = refusal(folder)
    assert "the weights lack classifier.bias and 3 more" in message
    assert "fine-tune" in message


def test_code_of_the_models_own_is_never_run(copied: Path) -> None:
    edit_config(copied, auto_map={"AutoConfig": "evil.Config"})
    (copied / "evil.py").write_text("raise SystemExit('executed')")
    assert "auto_map" in refusal(copied)


def test_broken_folders_are_named(copied: Path, tmp_path: Path) -> None:
    assert "no such directory" in refusal(tmp_path / "missing")
    assert "no such directory" in refusal("./missing")
    assert "a directory has no revision" in refusal(copied, revision="main")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in refusal(tmp_path / "empty")
    weights = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(weights[:100])
    assert "cannot be loaded" in refusal(copied)
    (copied / "config.json").write_text("{")
    assert "not JSON" in refusal(copied)


def test_a_folder_without_a_tokenizer_is_refused(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    assert "no tokenizer (tokenizer.json, vocab.txt)" in refusal(copied)
    (copied / "tokenizer_config.json").unlink()
    assert "no tokenizer" in refusal(copied)
    (copied / "tokenizer.json").write_text("{}")
    assert "the tokenizer cannot be loaded" in refusal(copied)


def test_labels_must_name_each_id(copied: Path) -> None:
    edit_config(copied, id2label={"0": "a", "1": "b", "3": "c"}, label2id={"a": 0, "b": 1, "c": 3})
    assert "must name the ids 0..2" in refusal(copied)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id2label": ["a", "b", "c"]}, "id2label in config.json is a list; it must be a mapping such as"),
        ({"label2id": ["a", "b", "c"]}, "label2id in config.json is a list; it must be a mapping such as"),
        ({"id2label": {"a": 0, "b": 1, "c": 2}}, "id2label in config.json has the key 'a', which is no id"),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}, "num_labels in config.json is 3, but id2label names 2"),
        ({"id2label": {"0": "a", "1": "a", "2": "c"}}, "names the ids 0 and 1 both 'a'"),
    ],
)
def test_labels_that_transformers_fails_on_or_drops_are_named(
    copied: Path, changes: dict[str, Any], problem: str
) -> None:
    edit_config(copied, **changes)
    assert problem in refusal(copied)


def test_labels_that_nothing_reads_are_not_judged(folders: Folders, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders("bert"), tmp_path / "masked"))
    edit_config(folder, id2label={"0": "a", "1": "a"}, num_labels=3)
    assert load(str(folder), ModelOptions(device="cpu", task=TaskName.FILL_MASK))[0].mask is not None


def test_zero_shot_needs_no_label2id(tmp_path: Path) -> None:
    folder = build(tmp_path / "nli", "bert", labels=("contradiction", "neutral", "entailment"))
    edit_config(folder, label2id=None)
    found = load(str(folder), ModelOptions(device="cpu", task=TaskName.ZERO_SHOT))[0].zero_shot
    assert found is not None
    assert (found.entailment_id, found.contradiction_id) == (2, 0)


@pytest.mark.parametrize(("family", "size"), [("roberta", None), ("bert", 2), ("deberta-v2", None), ("mpnet", None)])
def test_the_table_of_type_ids_bounds_what_the_model_is_given(
    model_folder: Folders, family: str, size: int | None
) -> None:
    assert load(str(model_folder(family)), ModelOptions(device="cpu"))[1].type_vocab_size == size


def test_type_vocab_larger_than_a_byte_is_capped(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", "bert", type_vocab_size=300)
    assert load(str(folder), ModelOptions(device="cpu"))[1].type_vocab_size == 255


def test_float16_on_a_cpu_is_refused(copied: Path) -> None:
    assert "needs a GPU" in refusal(copied, dtype="float16")


def refusal_of(folder: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(folder), ModelOptions(**options))
    return str(caught.value)


def test_no_gpu_is_said_so(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in refusal_of(copied, device="cuda")
    assert device.device_for("m", "auto").type == "cpu"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("./m", True),
        ("/m", True),
        ("~/m", True),
        ("../a/b", True),
        ("a/b/c", True),
        ("owner/name", False),
        ("n", False),
    ],
)
def test_a_path_is_told_from_a_hub_id(text: str, path: bool) -> None:
    assert source.is_path(text) == path


def answered(kind: Any) -> Exception:
    return kind("said the hub\nat length", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (answered(errors.GatedRepoError), "set HF_TOKEN"),
        (answered(errors.RepositoryNotFoundError), "not on the hub, or private"),
        (answered(errors.RevisionNotFoundError), "no such revision"),
        (answered(errors.HfHubHTTPError), "the download failed: HfHubHTTPError: said the hub;"),
        (errors.LocalEntryNotFoundError("x"), "cannot be reached"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (errors.HFValidationError("x"), "neither a directory nor a hub id"),
    ],
)
def test_what_the_hub_refuses_is_explained(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def fail(*args: Any, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr(source, "snapshot_download", fail)
    assert message in refusal("owner/name", revision="v1")


def test_the_hub_is_asked_for_safe_files_only(
    monkeypatch: pytest.MonkeyPatch, model_folder: Folders, tmp_path: Path
) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
        return os.fspath(shutil.copytree(model_folder("bert"), snapshot))

    monkeypatch.setattr(source, "snapshot_download", download)
    description, _ = load("owner/name", ModelOptions(revision="v1", device="cpu"))
    assert (asked["name"], asked["revision"]) == ("owner/name", "v1")
    assert asked["allow_patterns"] == ["*.json", "*.txt", "*.model", "*.safetensors"]
    assert (description.source, description.revision) == ("owner/name", commit)


def test_packed_linear_layers_answer_alike(model_folder: Folders) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_folder("bert"), dtype=torch.bfloat16
    ).eval()
    ids = torch.arange(5, 35).reshape(3, 10)
    with torch.inference_mode():
        before = model(ids).logits.float()
        packed = pack_linears(model)
        after = model(ids).logits.float()
    assert packed == sum(isinstance(module, PrepackedLinear) for module in model.modules())
    assert (before - after).abs().max() < 0.05
    assert pack_linears(torch.nn.Sequential(torch.nn.Linear(4, 4))) == 0  # float32 stays


def test_without_the_operator_the_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any) -> None:
        raise AttributeError("no such operator")

    monkeypatch.setattr(PrepackedLinear, "__init__", missing)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4, dtype=torch.bfloat16))
    assert pack_linears(model) == 0
    assert type(model[0]) is torch.nn.Linear
