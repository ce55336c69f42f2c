"""Makes a model's description from its config, its tokenizer and the options, and refuses contradictions."""

from typing import Any

from labelstream.workers.engine.description import Activation, Keep, Mask, ModelDescription, TaskName, Windows, ZeroShot
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.loading.labels import label_names, renamed, required_entailment_id
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tasks.zero_shot import is_template
from labelstream.workers.errors import ModelError


def describe(
    source: str, revision: str, options: ModelOptions, config: Any, tokenizer: Any, max_length: int
) -> ModelDescription:
    """`config`, `tokenizer`: transformers' objects. Raises ModelError, which names the key and the fix if possible."""
    try:
        return _describe(source, revision, options, config, tokenizer, max_length)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{source}: its config.json and tokenizer cannot be read as a model for task {options.task}: "
            f"{one_line(error)}; download or save the model again, or set another task"
        ) from error


def _describe(
    source: str, revision: str, options: ModelOptions, config: Any, tokenizer: Any, max_length: int
) -> ModelDescription:
    task = options.task
    zero_shot, embedding = task is TaskName.ZERO_SHOT, task is TaskName.EMBEDDING
    labels = renamed(source, _labels_of(source, task, config, tokenizer), options.label_names)
    activation = _activation(task, config, options.problem_type)
    _check_thresholds(source, options, None if zero_shot else labels, activation)
    _check_temperature(source, options, activation)
    max_top_k = None if zero_shot else len(labels)
    return ModelDescription(
        source=source,
        revision=revision,
        task=task.value,
        labels=labels,
        activation=activation,
        max_length=max_length,
        top_k=_top_k(options.top_k, max_top_k),
        tokenizer_json=tokenizer.backend_tokenizer.to_str(),
        ranked=not (zero_shot or embedding or options.long_text == "windows"),
        keep=_keep(options.truncate, tokenizer.truncation_side),
        windows=_windows(source, options, max_length),
        zero_shot=_zero_shot(source, options, labels, config.label2id) if zero_shot else None,
        threshold=options.threshold,
        thresholds=dict(options.thresholds),
        temperature=1.0 if options.temperature is None else options.temperature,
        in_model_order=options.scores_order == "model",
        mask=_mask(source, tokenizer) if task is TaskName.FILL_MASK else None,
        dimensions=config.hidden_size if embedding else 0,
        normalize=bool(options.normalize),
        pooling=options.pooling or "mean" if embedding else "",
    )


def _activation(task: TaskName, config: Any, problem_type: str | None) -> Activation:
    if task is TaskName.FILL_MASK:
        return Activation.SOFTMAX
    # Zero-shot: the task itself turns the logits of an NLI model into scores.
    return activation_of(config, problem_type) if task is TaskName.TEXT_CLASSIFICATION else Activation.NONE


def _mask(source: str, tokenizer: Any) -> Mask:
    if tokenizer.mask_token is None:
        raise ModelError(f"{source}: the tokenizer has no mask_token, which task fill-mask needs; set another task")
    cleans_up = bool(tokenizer.clean_up_tokenization_spaces)
    if type(tokenizer.backend_tokenizer.model).__name__ == "BPE":  # as in PreTrainedTokenizerFast._decode
        cleans_up = cleans_up and tokenizer.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output
    return Mask(tokenizer.mask_token, tokenizer.mask_token_id, tokenizer.pad_token_id, cleans_up)


def activation_of(config: Any, problem_type: str | None = None) -> Activation:
    """The activation for a transformers config, by the rule of `TextClassificationPipeline.postprocess`.

    `problem_type` overrides the config's. As in transformers, `config.function_to_apply` only counts for a model
    without labels.
    """
    problem_type = problem_type or config.problem_type
    if problem_type == "regression":
        return Activation.NONE
    if problem_type == "multi_label_classification" or config.num_labels == 1:
        return Activation.SIGMOID
    if problem_type == "single_label_classification" or config.num_labels > 1:
        return Activation.SOFTMAX
    return Activation(getattr(config, "function_to_apply", Activation.NONE))


def _zero_shot(source: str, options: ModelOptions, labels: tuple[str, ...], label2id: Any) -> ZeroShot:
    """The label ids by the rule of `ZeroShotClassificationPipeline`. Raises ModelError where that pipeline warns."""
    entailment = required_entailment_id(source, labels, label2id)
    if not is_template(options.hypothesis_template):
        raise ModelError(f"{source}: hypothesis_template must hold {{}} exactly once, and no other brace; correct it")
    contradiction_id = len(labels) - 1 if entailment == 0 else 0
    return ZeroShot(
        entailment, contradiction_id, options.candidate_labels, options.hypothesis_template, options.multi_label
    )


def _windows(source: str, options: ModelOptions, max_length: int) -> Windows | None:
    if options.long_text == "truncate":
        return None
    stride = max_length // 4 if options.stride is None else options.stride
    if stride > max_length // 2:
        raise ModelError(f"{source}: stride {stride} is more than half of max_length ({max_length}); lower stride")
    return Windows(stride, options.aggregate, options.max_windows)


def _check_thresholds(
    source: str, options: ModelOptions, labels: tuple[str, ...] | None, activation: Activation
) -> None:
    """`labels`: None if requests name their own labels."""
    has_thresholds = options.threshold is not None or options.thresholds
    if has_thresholds and labels is not None and activation is Activation.NONE:
        raise ModelError(
            f"{source}: threshold and thresholds need scores from 0 to 1, and this model gives other numbers; "
            "remove threshold and thresholds, or set problem_type"
        )
    for label in options.thresholds:
        if labels is not None and label not in labels:
            raise ModelError(
                f"{source}: thresholds names {label!r}, which the model does not have; its labels are "
                f"{', '.join(labels[:10])}{' and more' if len(labels) > 10 else ''}"
            )


def _check_temperature(source: str, options: ModelOptions, activation: Activation) -> None:
    if options.temperature is None or options.task is TaskName.ZERO_SHOT:
        return
    if options.task is not TaskName.TEXT_CLASSIFICATION:
        raise ModelError(
            f"{source}: temperature has no effect with task {options.task}: remove temperature, or set another task"
        )
    if activation is Activation.NONE:
        raise ModelError(
            f"{source}: temperature needs scores from 0 to 1, and this model gives other numbers; remove temperature,"
            " or set problem_type"
        )


def _keep(wanted: str | None, truncation_side: str) -> Keep:
    if wanted is not None:
        return Keep(wanted)
    return Keep.TAIL if truncation_side == "left" else Keep.HEAD


def _top_k(wanted: int | None, max_top_k: int | None) -> int:
    if max_top_k is None:
        return wanted or 1_000_000  # all that a request may name
    return max_top_k if wanted is None else min(wanted, max_top_k)


def _labels_of(source: str, task: TaskName, config: Any, tokenizer: Any) -> tuple[str, ...]:
    if task is TaskName.EMBEDDING:
        return ()
    if task is TaskName.FILL_MASK:  # named as in FillMaskPipeline; a model may have more rows than tokens
        known = len(tokenizer)
        return tuple(tokenizer.decode([i]) if i < known else "" for i in range(config.vocab_size))
    return label_names(source, config.id2label, config.num_labels)
