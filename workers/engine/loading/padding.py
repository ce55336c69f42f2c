"""Chooses the token id that pads batches, from a model's config and tokenizer. No torch."""

from typing import Any


def pad_id_of(config: Any, tokenizer: Any) -> int:
    """The config's pad_token_id, by which decoders find a text's last token; else an id that ends no text.

    Without pad_token_id the padding is an unused id of the model's vocabulary, or a special token that does not end
    texts: a decoder would otherwise take a text's own last token for padding. `config`, `tokenizer`: transformers'.
    """
    text = config.get_text_config()
    size, own = text.vocab_size, text.pad_token_id
    if own is not None and 0 <= own < size:
        return own
    last = tokenizer("good")["input_ids"][-1]
    spare = max(tokenizer.get_vocab().values(), default=-1) + 1
    named = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    return next(i for i in (spare, *named, 0, 1) if i is not None and 0 <= i < size and i != last)
