"""Small models of real architectures, built from a config with a fixed seed and saved as ordinary checkpoints.

`build(folder, family)` writes what `save_pretrained` writes: config.json, model.safetensors and the tokenizer's files.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers.utils import logging as transformers_logging

LABELS = ("NEGATIVE", "POSITIVE")
FAMILIES = ("distilbert", "bert", "roberta", "xlm-roberta", "electra", "albert", "deberta-v2", "mpnet")
MAX_LENGTH = 64
TEXTS = (
    "The blender is quieter than my old one and crushes ice in seconds.",
    "The handle snapped off the second time I used it!",
    "I've been using this backpack every day for two years, and the zips still work perfectly.",
    "Stopped charging after 3 weeks; now it is just a paperweight...",
    "Came a day early and was packed with a lot of care :-)",
    "Cheap plastic that smells awful straight out of the box.",
    "Honestly the best pair of headphones I have owned. 10/10, would buy again?",
    "The colour looks nothing like the photo (and support never answered my e-mail).",
    "2024-05-01T12:30:45Z ERROR [db.pool] connection refused: host=10.0.0.7 port=5432 attempt=3",
    '2024-05-01T12:30:46Z INFO [http] GET /api/v1/orders/1234 200 17ms user_agent="curl/8.5"',
    "Caf\u00e9 cr\u00e8me na\u00efve fa\u00e7ade \u00fcber stra\u00dfe",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8 \u4e2d\u6587 \ud55c\uad6d\uc5b4",
    "good",
    "not bad at all, really not bad",
)
_BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": MAX_LENGTH,
}


def build(
    folder: Path,
    family: str = "distilbert",
    *,
    labels: Sequence[str] = LABELS,
    problem_type: str | None = None,
    cased: bool = False,
    model_max_length: int | None = MAX_LENGTH,
    architecture: str = "ForSequenceClassification",
    seed: int = 0,
    **config: Any,
) -> Path:
    """Create `folder`, write a model of `family` (one of FAMILIES) into it, and return it.

    `config`: overrides of the small default, such as hidden_size. `model_max_length`: None for a tokenizer without a
    limit. `architecture`: such as "Model", for a checkpoint other than a classifier.
    """
    tokenizer = make_tokenizer(family, cased=cased, model_max_length=model_max_length)
    name, sizes = _ARCHITECTURES[family]
    settings = {
        **_SIZES,
        **sizes,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": problem_type,
        **config,
    }
    made = getattr(transformers, f"{name}Config")(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, f"{name}{architecture}")(made)
        _spread(model, tokenizer)
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scale_weights(folder: Path, factor: float, names: Sequence[str] = ()) -> Path:
    """Scale the matrices of these names, or all, of the model saved in `folder`.

    `build` makes larger weights than training does: rounding them to bfloat16 changes scores by 5%.
    """
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, values in weights.items():
        if values.dim() > 1 and (not names or name in names):
            weights[name] = values * factor
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def edit_config(folder: Path, **changes: Any) -> None:
    """Set keys of `folder`'s config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def with_typed_pairs(folder: Path) -> Path:
    """Give `folder`'s RoBERTa a tokenizer with BERT's type ids for pairs, and return the folder."""
    known = transformers.AutoTokenizer.from_pretrained(folder)
    inner = known.backend_tokenizer
    inner.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[(token, inner.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    return folder


def make_tokenizer(family: str, *, cased: bool = False, model_max_length: int | None = MAX_LENGTH) -> Any:
    """The family's own transformers tokenizer with a vocabulary learned from TEXTS."""
    limit: dict[str, Any] = {} if model_max_length is None else {"model_max_length": model_max_length}
    return _TOKENIZERS[family](cased, limit)


def _spread(model: torch.nn.Module, tokenizer: Any) -> None:
    """Enlarge the weights and center the head on TEXTS, so that texts get different labels."""
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2 if "classifier" in name else 0.25)
    heads = [module for name, module in model.named_modules() if name.endswith(("classifier", "out_proj"))]
    heads = [module for module in heads if isinstance(module, torch.nn.Linear)]
    if heads and hasattr(model, "num_labels"):
        model.eval()
        with torch.inference_mode():
            inputs = tokenizer(list(TEXTS), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
            heads[-1].bias.data -= model(**inputs).logits.mean(0)


@cache
def _wordpiece(lowercase: bool, specials: tuple[str, ...]) -> dict[str, int]:
    texts = [text.lower() for text in TEXTS] if lowercase else list(TEXTS)
    chars = {chr(code) for code in range(33, 127)} | {char for text in texts for char in text if not char.isspace()}
    words = {word for text in texts for word in re.findall(r"[a-zA-Z]+", text)}
    ends = {"##" + word[i:] for word in words for i in range(2, len(word), 2)}
    pieces = [*specials, *sorted(chars | words), *sorted(ends | {"##" + char for char in chars})]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


@cache
def _bytelevel() -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=_ROBERTA_SPECIALS,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


@cache
def _unigram(specials: tuple[str, ...]) -> list[tuple[str, float]]:
    words = {"\u2581" + word for text in TEXTS for word in text.split()}
    parts = {word[i : i + n] for word in words for n in (2, 3, 4) for i in range(len(word) - n + 1)}
    chars = {char for text in TEXTS for char in text if not char.isspace()} | {"\u2581"}
    scores = {**dict.fromkeys(words, -6.0), **dict.fromkeys(parts, -7.0), **dict.fromkeys(chars, -8.0)}
    return [*((special, 0.0) for special in specials), *sorted(scores.items())]


def _bert_tokenizer(name: str) -> Callable[[bool, dict[str, Any]], Any]:
    def make(cased: bool, limit: dict[str, Any]) -> Any:
        vocab = _wordpiece(not cased, tuple(_BERT_SPECIALS))
        return getattr(transformers, name)(vocab=dict(vocab), do_lower_case=not cased, **limit)

    return make


def _mpnet_tokenizer(cased: bool, limit: dict[str, Any]) -> Any:
    vocab = _wordpiece(not cased, ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"))
    return transformers.MPNetTokenizer(vocab=dict(vocab), do_lower_case=not cased, **limit)


def _roberta_tokenizer(cased: bool, limit: dict[str, Any]) -> Any:
    vocab, merges = _bytelevel()
    pairs: Any = list(merges)
    return transformers.RobertaTokenizer(vocab=dict(vocab), merges=pairs, **limit)


def _xlm_roberta_tokenizer(cased: bool, limit: dict[str, Any]) -> Any:
    return transformers.XLMRobertaTokenizer(vocab=_unigram(tuple(_ROBERTA_SPECIALS)), **limit)


def _albert_tokenizer(cased: bool, limit: dict[str, Any]) -> Any:
    vocab = _unigram(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"))
    return transformers.AlbertTokenizer(vocab=vocab, do_lower_case=not cased, **limit)


def _deberta_tokenizer(cased: bool, limit: dict[str, Any]) -> Any:
    return transformers.DebertaV2Tokenizer(vocab=_unigram(tuple(_BERT_SPECIALS)), unk_id=1, **limit)


_TOKENIZERS: dict[str, Callable[[bool, dict[str, Any]], Any]] = {
    "distilbert": _bert_tokenizer("DistilBertTokenizer"),
    "bert": _bert_tokenizer("BertTokenizer"),
    "electra": _bert_tokenizer("ElectraTokenizer"),
    "roberta": _roberta_tokenizer,
    "xlm-roberta": _xlm_roberta_tokenizer,
    "albert": _albert_tokenizer,
    "deberta-v2": _deberta_tokenizer,
    "mpnet": _mpnet_tokenizer,
}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
_BEHIND_PADDING = {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1}
_ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "distilbert": ("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "bert": ("Bert", {}),
    "electra": ("Electra", {"embedding_size": 16}),
    "roberta": ("Roberta", _BEHIND_PADDING),
    "xlm-roberta": ("XLMRoberta", _BEHIND_PADDING),
    "albert": ("Albert", {"embedding_size": 16}),
    "deberta-v2": ("DebertaV2", {"max_relative_positions": -1, "position_buckets": 32, **_RELATIVE}),
    "mpnet": ("MPNet", {"max_position_embeddings": MAX_LENGTH + 2}),
}
