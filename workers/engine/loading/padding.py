"""Which id batches are padded with, where config and tokenizer may each name one, or none. No torch."""

from typing import Any


def pad_id_of(config: Any, tokenizer: Any) -> int:
    """The config's, by which decoders find a text's last token; else one that stands at no text's end.

    Without one in the config a decoder reads the last token, whatever that is: then the padding is an id that no text
    can have, where the vocabulary has one to spare, or a special token that texts do not end with. `config` and
    `tokenizer`: transformers' own.
    """
    text = config.get_text_config()
    size, own = text.vocab_size, text.pad_token_id
    if own is not None and 0 <= own < size:
        return own
    last = tokenizer("good")["input_ids"][-1]
    spare = max(tokenizer.get_vocab().values(), default=-1) + 1
    named = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    return next(i for i in (spare, *named, 0, 1) if i is not None and 0 <= i < size and i != last)
