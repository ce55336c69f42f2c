"""`labelstream evaluate`: from a labeled file to metrics, files and the exit code."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from labelstream.workers.classifier import Prediction
from labelstream.workers.engine.engine import Engine
from tests.support.models import TEXTS, build
from tests.unit.deploy.cli.conftest import Run, fails

LABELS = ("NEGATIVE", "NEUTRAL", "POSITIVE")
NLI = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("model"), labels=LABELS))


def rows_of(labels: Sequence[Any], count: int = 42) -> list[dict[str, Any]]:
    return [{"text": f"{TEXTS[i % len(TEXTS)]} {i}", "label": labels[i % len(labels)]} for i in range(count)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_metrics_of_file_equal_scikit_learn(run: Run, model: str, tmp_path: Path, backend: str) -> None:
    rows = rows_of(LABELS)
    data, result, lines = write(tmp_path / "d.jsonl", rows), tmp_path / "r.json", tmp_path / "p.jsonl"
    common = ("-m", model, "--backend", backend, "--dtype", "float32")
    ended = run("evaluate", data, *common, "--json", str(result), "--predictions", str(lines))
    assert ended.code == 0, ended.err
    with Engine.load(model, backend=backend, dtype="float32", top_k=None) as engine:
        answers = engine.classify([row["text"] for row in rows])
    gold = [LABELS.index(row["label"]) for row in rows]
    given = [dict(zip(one.labels, one.scores, strict=True)) for one in answers if isinstance(one, Prediction)]
    scores = np.array([[one[label] for label in LABELS] for one in given])
    (found,) = json.loads(result.read_text())["models"]
    wanted = {
        "eval_accuracy": metrics.accuracy_score(gold, scores.argmax(1)),
        "eval_f1_macro": metrics.f1_score(gold, scores.argmax(1), average="macro"),
        "eval_loss": metrics.log_loss(gold, scores / scores.sum(1, keepdims=True)),
        "eval_roc_auc": metrics.roc_auc_score(np.eye(3)[gold], scores, average="macro"),
    }
    assert {name: found["metrics"][name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert found["metrics"]["eval_accuracy"] == pytest.approx(wanted["eval_accuracy"], abs=1e-9)
    assert found["confusion_matrix"] == metrics.confusion_matrix(gold, scores.argmax(1)).tolist()
    assert (found["dtype"], found["labels"], found["problem_type"]) == (
        "float32",
        list(LABELS),
        "single_label_classification",
    )
    written = lines_of(lines)
    assert [line["gold"] for line in written] == [row["label"] for row in rows]
    assert [line["scores"] for line in written] == [{label: one[label] for label in LABELS} for one in given]
    assert [line["label"] for line in written] == [LABELS[i] for i in scores.argmax(1)]
    assert written[1]["place"] == f"{data}:2"
    assert sorted(os.listdir(tmp_path)) == ["d.jsonl", "p.jsonl", "r.json"]


def test_table_fits_80_columns(run: Run, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = run("evaluate", write(tmp_path / "d.jsonl", rows_of(LABELS)), "-m", model)
    table = ended.out.splitlines()[2:]
    assert max(len(line) for line in table) <= 80
    text = "\n".join(table)
    assert "…" not in text
    for word in ("eval_accuracy", "eval_samples_per_second", "95% interval", "true \\ predicted", *LABELS):
        assert word in text


def test_multi_label_equals_scikit_learn(run: Run, model: str, tmp_path: Path) -> None:
    labels = [["NEGATIVE", "POSITIVE"], [], ["NEUTRAL"], ["POSITIVE"]]
    data, result, lines = write(tmp_path / "d.jsonl", rows_of(labels)), tmp_path / "r.json", tmp_path / "p.jsonl"
    set_ = ("--set", "problem_type=multi_label_classification", "--set", "thresholds={NEUTRAL: 0.9}")
    assert run("evaluate", data, "-m", model, *set_, "--json", str(result), "--predictions", str(lines)).code == 0
    written = lines_of(lines)
    gold = [[label in line["gold"] for label in LABELS] for line in written]
    limits = (0.5, 0.9, 0.5)
    predicted = [
        [line["scores"][label] >= limit for label, limit in zip(LABELS, limits, strict=True)] for line in written
    ]
    assert [line["label"] for line in written] == [line["accepted"] for line in written]
    found = json.loads(result.read_text())["models"][0]["metrics"]
    wanted = {
        "eval_exact_match": metrics.accuracy_score(gold, predicted),
        "eval_hamming_loss": metrics.hamming_loss(gold, predicted),
        "eval_f1_micro": metrics.f1_score(gold, predicted, average="micro", zero_division=0),  # type: ignore[arg-type]
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


def test_glue_sts_b_of_a_csv_equals_scipy(run: Run, tmp_path: Path) -> None:
    source = str(build(tmp_path / "model", labels=("score",)))
    data, lines, result = tmp_path / "dev.tsv", tmp_path / "p.jsonl", tmp_path / "r.json"
    rows = [f"{i}\t{TEXTS[i % 7]}\t{TEXTS[i % 5]}\t{i % 6}.5\n" for i in range(20)]
    data.write_text("index\tsentence1\tsentence2\tscore\n" + "".join(rows))
    ended = run(
        "evaluate", str(data), "-m", source, "--glue", "STS-B", "--predictions", str(lines), "--json", str(result)
    )
    assert ended.code == 0, ended.err
    written = lines_of(lines)
    gold, scores = ([line[key] for line in written] for key in ("gold", "score"))
    found = json.loads(result.read_text())["models"][0]["metrics"]
    pearson, spearman = (float(np.asarray(one(gold, scores))[0]) for one in (stats.pearsonr, stats.spearmanr))
    wanted = {"eval_pearson": pearson, "eval_spearmanr": spearman, "eval_combined_score": (pearson + spearman) / 2}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert written[0]["text_pair"] == TEXTS[0]


def test_glue_mnli_reads_numbers_by_name(run: Run, tmp_path: Path) -> None:
    source = str(build(tmp_path / "model", labels=("CONTRADICTION", "ENTAILMENT", "NEUTRAL")))
    rows = [{"premise": text, "hypothesis": TEXTS[0], "label": i % 3} for i, text in enumerate(TEXTS)]
    lines, result = tmp_path / "p.jsonl", tmp_path / "r.json"
    data = write(tmp_path / "d.jsonl", rows)
    ended = run("evaluate", data, "-m", source, "--glue", "mnli-mm", "--predictions", str(lines), "--json", str(result))
    assert ended.code == 0, ended.err
    written = lines_of(lines)
    assert [line["gold"].lower() for line in written] == [NLI[i % 3] for i in range(len(TEXTS))]
    accuracy = np.mean([line["gold"] == line["label"] for line in written])
    assert json.loads(result.read_text())["models"][0]["metrics"]["eval_accuracy_mm"] == pytest.approx(accuracy)


def test_zero_shot_with_labels_and_template(run: Run, tmp_path: Path) -> None:
    source = str(build(tmp_path / "nli", labels=NLI))
    data, lines = write(tmp_path / "d.jsonl", rows_of(["praise", "blame"], 8)), tmp_path / "p.jsonl"
    more = ("--labels", "praise, blame", "--template", "So {}.", "--predictions", str(lines))
    assert run("evaluate", data, "-m", source, *more).code == 0
    with Engine.load(
        source,
        task="zero-shot-classification",
        candidate_labels=("praise", "blame"),
        hypothesis_template="So {}.",
    ) as engine:
        (answer,) = engine.classify([rows_of(["praise"], 1)[0]["text"]])
    assert isinstance(answer, Prediction)
    assert lines_of(lines)[0]["scores"] == dict(zip(answer.labels, answer.scores, strict=True))


def test_dotted_fields_and_label_map_of_a_csv(run: Run, model: str, tmp_path: Path) -> None:
    rows = [{"review": {"body": text}, "meta": {"stars": i % 3}} for i, text in enumerate(TEXTS)]
    data, lines = write(tmp_path / "d.jsonl", rows), tmp_path / "p.jsonl"
    fields = ("--text-field", "review.body", "--label-field", "meta.stars")
    mapped = ("--label-map", "0=POSITIVE", "--label-map", "2=NEGATIVE")
    assert run("evaluate", data, "-m", model, *fields, *mapped, "--predictions", str(lines)).code == 0
    wanted = [("POSITIVE", "NEUTRAL", "NEGATIVE")[i % 3] for i in range(len(TEXTS))]
    assert [line["gold"] for line in lines_of(lines)] == wanted


def test_model_of_the_config_has_its_options(run: Run, model: str, tmp_path: Path) -> None:
    config, result = tmp_path / "labelstream.yaml", tmp_path / "r.json"
    config.write_text(
        "kafka: {bootstrap_servers: h:1}\nhttp: {}\n"
        f"models:\n  sentiment: {{source: {model}, long_text: windows, label_names: {{NEUTRAL: MEH}}, "
        "threshold: 0.5}\n"
    )
    data = write(tmp_path / "d.jsonl", rows_of(["NEGATIVE", "MEH", "POSITIVE"]))
    ended = run("evaluate", data, "-c", str(config), "--json", str(result))
    assert ended.code == 0, ended.err
    (found,) = json.loads(result.read_text())["models"]
    assert (found["model"], found["labels"]) == ("sentiment", ["NEGATIVE", "MEH", "POSITIVE"])
    assert found["options"]["long_text"] == "windows"
    assert 0 <= found["metrics"]["eval_coverage"] <= 1


def test_compare_shows_where_models_differ(run: Run, model: str, tmp_path: Path) -> None:
    other = str(build(tmp_path / "other", labels=LABELS, seed=3))
    data, result, lines = write(tmp_path / "d.jsonl", rows_of(LABELS)), tmp_path / "r.json", tmp_path / "p.jsonl"
    more = ("--compare", other, "--compare", "dtype=float32,backend=torch")
    ended = run("evaluate", data, "-m", model, *more, "--json", str(result), "--predictions", str(lines))
    assert ended.code == 0, ended.err
    tree = json.loads(result.read_text())
    assert [one["model"] for one in tree["models"]] == [model, other, f"{model} dtype=float32 backend=torch"]
    first, second = (
        {line["place"]: line for line in lines_of(lines) if line["model"] == name} for name in (model, other)
    )
    found = tree["comparisons"][0]
    assert [one["place"] for one in found["differ"]] == [
        place for place in first if first[place]["label"] != second[place]["label"]
    ]
    right = [{place for place, line in one.items() if line["gold"] == line["label"]} for one in (first, second)]
    counts = (len(right[0] - right[1]), len(right[1] - right[0]))
    assert (found["only_first_right"], found["only_second_right"]) == counts
    assert found["mcnemar_p_value"] == pytest.approx(stats.binomtest(min(counts), sum(counts)).pvalue)
    assert f"A and B differ for {len(found['differ'])} of 42 texts" in ended.out
    assert "McNemar's exact test: p = " in ended.out


def test_truncated_and_repeated_texts_are_said(run: Run, model: str, tmp_path: Path) -> None:
    rows = [*rows_of(LABELS, 6), {"text": "good bad " * 60, "label": 0}, {"text": " ", "label": 0}]
    rows += [{"text": "twice", "label": 0}, {"text": "twice", "label": 1}]
    data, result = write(tmp_path / "d.jsonl", rows), tmp_path / "r.json"
    ended = run("evaluate", data, "-m", model, "--json", str(result))
    assert ended.code == 0, ended.err
    assert "1 text truncated: the model read only a part\n" in ended.out
    assert "1 text more than once, in 2 rows, 1 of them with different labels\n" in ended.out
    assert f"1 text left out; the first: {data}:8: the text is empty or blank\n" in ended.out
    found = json.loads(result.read_text())["data"]
    assert (found["texts"], found["truncated"], len(found["left_out"])) == (9, 1, 1)
    assert found["duplicates"] == {"texts": 1, "rows": 2, "contradicting": 1}


def test_labels_by_number_are_said_in_table_and_json(run: Run, tmp_path: Path) -> None:
    source = str(build(tmp_path / "model", labels=("good=yes", "good=no")))
    rows = [{"sentence": text, "label": label} for text, label in zip(TEXTS, ["high", 1] * len(TEXTS), strict=False)]
    data, result = write(tmp_path / "d.jsonl", rows), tmp_path / "r.json"
    fields = ("-m", source, "--json", str(result), "--label-map", "high=good=yes")
    ended = run("evaluate", data, *fields, "--text-field", "sentence")
    assert ended.code == 0, ended.err
    assert "labels matched by number: 1 = good=no; --label-map changes that\n" in ended.out
    assert json.loads(result.read_text())["models"][0]["labels_by_number"] == {"1": "good=no"}
    ended = run("evaluate", data, *fields, "--glue", "sst2")
    assert "labels matched by number: 0 = good=yes, 1 = good=no; --label-map changes that\n" in ended.out


def test_one_class_only_is_said_in_table_and_json(run: Run, model: str, tmp_path: Path) -> None:
    data, result = write(tmp_path / "d.jsonl", rows_of(["POSITIVE"])), tmp_path / "r.json"
    ended = run("evaluate", data, "-m", model, "--json", str(result))
    assert ended.code == 0, ended.err
    assert "eval_matthews_correlation is undefined: all texts have the label POSITIVE\n" in ended.out
    assert "nan" not in ended.out.lower()
    found = json.loads(result.read_text(), parse_constant=lambda name: pytest.fail(name))["models"][0]
    assert found["undefined"]["eval_roc_auc"] == "no text has the label NEGATIVE"


def test_limit_decides_the_exit_code(run: Run, model: str, tmp_path: Path) -> None:
    data, result = write(tmp_path / "d.jsonl", rows_of(LABELS)), tmp_path / "r.json"
    passed = run("evaluate", data, "-m", model, "--fail-under", "eval_accuracy=0", "--fail-over", "loss=1e9")
    assert passed.code == 0, passed.err
    ended = run("evaluate", data, "-m", model, "--fail-under", "accuracy=1.01", "--json", str(result))
    accuracy = json.loads(result.read_text())["models"][0]["metrics"]["eval_accuracy"]
    fails(ended, 1, f"labelstream: accuracy {accuracy:.6g} is below 1.01")
    assert "eval_accuracy" in ended.out


BAD = {
    "no-data": ((), 2, "DATA: is missing; give a file or --topic"),
    "no-file": (("no.jsonl",), 2, "no.jsonl: cannot be read (No such file or directory)"),
    "unknown-metric": (
        ("{data}", "--fail-under", "acuracy=0.9"),
        2,
        "unknown metric 'acuracy'; give one of accuracy, ",
    ),
    "other-kind": (("{data}", "--fail-under", "rmse=0.9"), 2, "rmse is better when lower; give --fail-over rmse=0.9"),
    "kind-of-metric": (("{data}", "--fail-over", "rmse=1"), 2, "unknown metric 'rmse'; give one of accuracy, "),
    "no-number": (("{data}", "--fail-under", "accuracy"), 2, "--fail-under: 'accuracy' is not METRIC=NUMBER"),
    "no-column": (("{data}", "--label-field", "stars"), 1, ":1: no field 'stars'; the row has text, label; name the"),
    "unknown-option": (("{data}", "--set", "dtyp=float32"), 1, "dtyp: unknown option; did you mean dtype?"),
    "no-pair": (("{data}", "--set", "dtype"), 2, "--set: 'dtype' is not KEY=VALUE; for example dtype=bfloat16"),
    "glue": (("{data}", "--glue", "squad"), 1, "--glue: unknown task 'squad'; give one of cola, mnli"),
    "glue-labels": (("{data}", "--glue", "sst2"), 1, "the task has 2 labels (negative, positive), and the model 3"),
    "template": (("{data}", "--template", "So {}"), 2, "--template: is for zero-shot; add labels with --labels"),
    "full-disk": (("{data}", "--json", "/dev/full"), 1, "/dev/full cannot be written (No space left on device)"),
    "no-folder": (
        ("{data}", "--predictions", "no/such/p.jsonl"),
        2,
        "--predictions: no/such/p.jsonl cannot be written",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(
    run: Run, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "d.jsonl", rows_of(LABELS, 6))
    arguments, code, said = BAD[case]
    ended = run("evaluate", *(argument.replace("{data}", data) for argument in arguments), "-m", model)
    fails(ended, code, said)
    assert os.listdir(tmp_path) == ["d.jsonl"]


def test_labels_that_do_not_match_show_both_sets(run: Run, model: str, tmp_path: Path) -> None:
    ended = run("evaluate", write(tmp_path / "d.jsonl", rows_of(["good", "bad"])), "-m", model)
    fails(ended, 1, "the data has good, bad; the model has NEGATIVE, NEUTRAL, POSITIVE; add --label-map good=NEGATIVE")


def test_nan_target_names_its_line(run: Run, tmp_path: Path) -> None:
    source = str(build(tmp_path / "model", labels=("score",), problem_type="regression"))
    (tmp_path / "d.csv").write_text("text,label\nso,1.5\nno,nan\n")
    ended = run("evaluate", str(tmp_path / "d.csv"), "-m", source)
    fails(ended, 1, "d.csv:3: the target 'nan' is not a finite number; correct or remove the row")


def test_model_without_a_head_is_refused(run: Run, tmp_path: Path) -> None:
    source = str(build(tmp_path / "model", "bert", architecture="Model"))
    fails(run("evaluate", write(tmp_path / "d.jsonl", rows_of(LABELS)), "-m", source), 1, source)


def test_full_disk_leaves_nothing_half_written(run: Run, model: str, tmp_path: Path) -> None:
    data, lines = write(tmp_path / "d.jsonl", rows_of(LABELS)), tmp_path / "p.jsonl"
    ended = run("evaluate", data, "-m", model, "--json", "/dev/full", "--predictions", str(lines))
    fails(ended, 1, "/dev/full cannot be written")
    assert not (lines.exists() and len(lines_of(lines)) != 42)
