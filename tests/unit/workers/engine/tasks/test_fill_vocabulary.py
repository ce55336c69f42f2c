"""Decoded texts equal transformers' own, with spaces cleaned up as the tokenizer's setting says."""

from pathlib import Path

import pytest
import transformers

from labelstream.workers.classifier import RecordError
from labelstream.workers.engine.description import Mask
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.tasks.fill_vocabulary import FillVocabulary
from tests.support.fill_mask import OPTIONS
from tests.support.models import TEXTS, build


@pytest.mark.parametrize("cleans_up", [False, True])
@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_decoded_text_equals_the_tokenizers(tmp_path: Path, family: str, cleans_up: bool) -> None:
    folder = build(tmp_path / family, family, architecture="ForMaskedLM")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, clean_up_tokenization_spaces=cleans_up)
    tokenizer.save_pretrained(folder)
    with Engine.load(folder, **OPTIONS) as engine:
        mask = engine.description.mask
    assert mask is not None
    assert mask.cleans_up == (cleans_up and family != "roberta")
    vocabulary = FillVocabulary(tokenizer.backend_tokenizer, mask, len(tokenizer))
    for text in [*TEXTS, "I ' m not sure , is n't it ? We 've seen it !"]:
        ids = tokenizer(text).input_ids
        for only_mask in (False, True):
            padded = [*ids, tokenizer.pad_token_id]
            assert vocabulary.sequence(padded, only_mask) == tokenizer.decode(ids, skip_special_tokens=only_mask)


def test_target_that_is_no_token_is_its_first_token() -> None:
    tokenizer = transformers.BertTokenizer(vocab={"[UNK]": 0, "a": 1, "##b": 2, "[MASK]": 3})
    vocabulary = FillVocabulary(tokenizer.backend_tokenizer, Mask("[MASK]", 3), 3)
    assert vocabulary.target_ids(["ab", "##b", "a"]) == (1, 2)
    refused = vocabulary.target_ids(["a", "[MASK]"])
    assert isinstance(refused, RecordError)
    assert refused.message == "targets[1] is no token of the model"
