"""`labelstream evaluate`: measures models on labeled texts with the engine of the stream, without Ray."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from labelstream.deploy.cli.common.connect import Bootstrap, load_config
from labelstream.deploy.cli.common.console import stops_on_signals
from labelstream.deploy.cli.common.whole_file import whole_file
from labelstream.deploy.cli.evaluation import options as given
from labelstream.deploy.cli.evaluation.candidates import compared, first_candidate, options_of
from labelstream.deploy.cli.evaluation.data_file import read_data_file
from labelstream.deploy.cli.evaluation.data_topic import read_data_topic
from labelstream.deploy.cli.evaluation.fields import ExampleReader, FieldNames
from labelstream.deploy.cli.evaluation.fitting import (
    fit_wish,
    fitted_tree,
    keys_of,
    show_fitted,
    wish_of,
    written_config,
)
from labelstream.deploy.cli.evaluation.limits import failed, limits_of
from labelstream.deploy.cli.evaluation.options import check_outputs, check_pairs, split_labels, zero_shot_options
from labelstream.deploy.cli.evaluation.results import as_tree, prediction_lines
from labelstream.deploy.cli.evaluation.view import show
from labelstream.deploy.cli.models.answer_texts import Labels, Template
from labelstream.workers.errors import ConfigError, EvaluationError

RESAMPLES = 1_000


def evaluate(
    data: given.Data = None,
    model: given.Model = None,
    revision: given.Revision = None,
    text_field: given.TextField = None,
    text_pair_field: given.TextPairField = None,
    label_field: given.LabelField = None,
    label_map: given.LabelMap = None,
    label: Labels = None,
    labels: given.CandidateLabels = None,
    template: Template = None,
    multi_label: given.MultiLabel = False,
    glue: given.Glue = None,
    dtype: given.Dtype = None,
    backend: given.Backend = None,
    set_: given.Set = None,
    compare: given.Compare = None,
    json_file: given.JsonFile = None,
    predictions: given.PredictionsFile = None,
    calibrate: given.Calibrate = False,
    target: given.TargetOption = None,
    write_config: given.WriteConfig = None,
    report: given.ReportFile = None,
    fail_under: given.FailUnder = None,
    fail_over: given.FailOver = None,
    resamples: given.Resamples = RESAMPLES,
    seed: given.Seed = 0,
    topic: given.Topic = None,
    config: given.Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Measure a model on your labeled texts, with the scores that the stream would give.

    Exit code 1: a metric misses --fail-under or --fail-over.
    """
    if (data is None) == (topic is None):
        raise ConfigError(
            "DATA", "is missing" if data is None else "unexpected beside --topic", "give a file or --topic"
        )
    check_pairs(label_map or ())
    limits = limits_of(fail_under or (), fail_over or ())
    zero_shot = zero_shot_options([*(label or ()), *split_labels(labels)], template, multi_label)
    chosen = {"revision": revision, "dtype": dtype, "backend": backend}
    options = {key: value for key, value in chosen.items() if value is not None}
    options |= options_of(set_ or (), "--set") | zero_shot
    if revision is not None and model is None:
        raise ConfigError("--revision", "is for a model of the hub", "add --model")
    models: Mapping[str, Any] = {} if config is None else load_config(config).models
    first = first_candidate(model, options, models)
    candidates = [first, *(compared(spec, first, options, models) for spec in compare or ())]
    wish = wish_of(calibrate, target, write_config, len(candidates) > 1, first.options)
    if report is not None and compare:
        raise ConfigError("--report", "shows one model", "leave out --compare")
    outputs = (
        (json_file, "--json"),
        (predictions, "--predictions"),
        (write_config, "--write-config"),
        (report, "--report"),
    )
    check_outputs(outputs, data)
    from labelstream.workers.evaluation.metrics.measure import require_packages

    require_packages()
    from labelstream.deploy.cli.evaluation.evaluating import Plan, evaluate_all
    from labelstream.workers.evaluation.metrics.glue import glue_task

    task = None if glue is None else glue_task(glue)
    reader = ExampleReader(FieldNames(text_field, text_pair_field, label_field), task)
    with stops_on_signals(), ExitStack() as files:
        # Opened before the work, so that a wrong path costs no time, and replaced after it.
        tree_file, lines_file, config_file, report_file = (
            None if path is None else files.enter_context(whole_file(path, option)) for path, option in outputs
        )
        examples = read_data_topic(topic, bootstrap, config, reader) if topic else read_data_file(data or "-", reader)
        plan = Plan(data or f"topic {topic}", label_map or (), task, resamples, seed)
        results = evaluate_all(candidates, examples, plan)
        show(results)  # also if there are too few texts to fit a value
        fitted = fit_wish(results.models[0].predictions, wish)
        if tree_file is not None:
            tree = as_tree(results)
            if fitted is not None:
                tree["fitted"] = fitted_tree(fitted, keys_of(fitted, first))
            tree_file.write(json.dumps(tree, indent=2) + "\n")
        if lines_file is not None:
            lines_file.writelines(line for one in results.models for line in prediction_lines(one))
        if config_file is not None and fitted is not None:
            config_file.write(written_config(fitted, first, config))
        if report_file is not None:
            from labelstream.deploy.cli.evaluation.report import report_html

            report_file.write(report_html(results, fitted))
    if fitted is not None:
        show_fitted(fitted)
    missed = [(one.candidate.name, text) for one in results.models for text in failed(limits, one.measured)]
    if missed:
        raise EvaluationError("; ".join(f"{name}: {text}" if len(candidates) > 1 else text for name, text in missed))
