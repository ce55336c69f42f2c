"""The vocabulary of a fill-mask model, read as `transformers.FillMaskPipeline` reads it. No torch."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.engine.description import Mask
from labelstream.workers.engine.tasks.base import MAX_LABELS
from labelstream.workers.engine.tokenization.refusals import unreadable

# As `PreTrainedTokenizerBase.clean_up_tokenization`, in this order.
_CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class FillVocabulary:
    """`size`: number of tokens that the model scores; the tokenizer may have more."""

    def __init__(self, tokenizer: Tokenizer, mask: Mask, size: int) -> None:
        self._tokenizer, self._mask, self._size = tokenizer, mask, size

    def target_ids(self, targets: Sequence[str]) -> tuple[int, ...] | RecordError:
        """Ids of `targets`, each once. A text that is no token of the vocabulary stands for its first token."""
        if not 1 <= len(targets) <= MAX_LABELS:
            return RecordError(Fault.INVALID_LABELS, f"targets has {len(targets)} texts; give 1 to {MAX_LABELS}")
        found: set[int] = set()
        for i, target in enumerate(targets):
            token_id = self._first_id(target)
            if isinstance(token_id, RecordError):
                return token_id
            if token_id is None or token_id >= self._size:
                return RecordError(Fault.INVALID_LABELS, f"targets[{i}] is no token of the model")
            found.add(token_id)
        return tuple(sorted(found))

    def sequence(self, ids: Sequence[int], only_mask: bool) -> str:
        """The text of `ids`. `only_mask`: the text has no further mask, and is shown without special tokens."""
        kept = [token_id for token_id in ids if token_id != self._mask.pad_id]
        text: str = self._tokenizer.decode(kept, skip_special_tokens=only_mask)
        return _cleaned(text) if self._mask.cleans_up else text

    def _first_id(self, target: str) -> int | RecordError | None:
        try:
            known = self._tokenizer.token_to_id(target)
            if known is not None:
                return known
            ids = self._tokenizer.encode(target, add_special_tokens=False).ids
        except BaseException as error:
            return unreadable(error, target)
        return ids[0] if ids else None


def _cleaned(text: str) -> str:
    for spaced in _CLEANED:
        text = text.replace(spaced, spaced.strip())
    return text
