"""Small decoders with a classification head, and tokenizers with or without a padding token."""

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.support.models import LABELS, edit_config, make_tokenizer

END = "<|endoftext|>"
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def decoder_tokenizer(pad: str | None = END) -> Any:
    """A byte-level BPE tokenizer whose last token is end-of-text."""
    model = Tokenizer.from_str(make_tokenizer("roberta").backend_tokenizer.to_str())
    vocab = model.get_vocab(with_added_tokens=False)
    made = Tokenizer(models.BPE(vocab={**vocab, END: len(vocab)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=END, bos_token=END, pad_token=pad, model_max_length=1_000_000
    )


def build_decoder(
    folder: Path, kind: str, *, pad: str | None = END, config_pad: int | None = None, length: int = 64, spare: int = 0
) -> Path:
    """A decoder of `kind`, such as "GPT2" or "Llama". `pad`: the tokenizer's padding token. `config_pad`: the
    pad_token_id of config.json, or None. `length`: tokens that it takes. `spare`: vocabulary rows without a token."""
    tokenizer = decoder_tokenizer(pad)
    count = len(tokenizer)
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    common: dict[str, Any] = {
        "vocab_size": count + spare,
        "bos_token_id": count - 1,
        "eos_token_id": count - 1,
        **labels,
    }
    if kind == "GPT2":
        config: Any = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=length, **common)
    else:
        config = getattr(transformers, f"{kind}Config")(max_position_embeddings=length, **_SIZES, **common)
    config.pad_token_id = config_pad
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.25)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if config_pad is None:
        edit_config(folder, pad_token_id=None)
    return folder
