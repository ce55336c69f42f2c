"""`python -m labelstream.deploy.demo.make_model`: the demo's tiny model, from this folder's texts and public ones.

    --sentences FILE   public review sentences, of which a third is held back to be measured with
    --rated FILE       vaderSentiment-3.3.2.tar.gz: rated review snippets, and a list of rated words
    --encoder DIR      all-MiniLM-L6-v2: its word pieces and their vectors, to begin with
    --out DIR          the folder to write

`public_texts.py` and `encoder.py` say where these are to be had. Each can be left out; without any of them the model
learns from this folder alone, and knows fewer words. All seeds are fixed, so the same versions on the same kind of
machine give the same model. One run took 18 minutes on one CPU core, with other processes beside.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when transformers is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
    PreTrainedTokenizerBase,
    pipeline,
)

from labelstream.deploy.demo.corpus import LABELS, corpus
from labelstream.deploy.demo.encoder import ENCODER, frequent_pieces, vectors_of
from labelstream.deploy.demo.public_texts import RATED, SENTENCES, Soft, near_any, read_rated, read_sentences, split

HERE = Path(__file__).parent
WRITTEN, HANDWRITTEN = HERE / "written.jsonl", HERE / "handwritten.jsonl"
SEED, CORPUS_SIZE, EPOCHS, BATCH, VOCABULARY, MAX_LENGTH = 20_240, 10_000, 5, 64, 5500, 128
REPEATS = 5  # of sentences that people labeled, because there are few
CERTAIN = 0.97  # probability of the given label, so that the model is not more certain than people are
LEARNING_RATE, UNKNOWN_RATE, DROPOUT = 1e-3, 0.12, 0.2
HELD_TEXTS = "public review sentences held back from its training"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def own_texts() -> list[Soft]:
    """Training texts of this folder: sentences from templates, and handwritten ones."""
    made = [(text, LABELS[label]) for text, label in corpus(CORPUS_SIZE, SEED)]
    return soft(made) + soft(read_sentences(WRITTEN)) * REPEATS


def soft(sentences: list[tuple[str, str]]) -> list[Soft]:
    return [(text, CERTAIN if label == "POSITIVE" else 1 - CERTAIN) for text, label in sentences]


def make_tokenizer(texts: list[str], pieces: list[str] | None) -> PreTrainedTokenizerBase:
    """A BERT-like tokenizer with these pieces, or with a WordPiece vocabulary of the texts."""
    vocabulary = {piece: index for index, piece in enumerate(pieces)} if pieces else None
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if vocabulary is None:
        trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False)
        core.train_from_iterator(texts, trainer)
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, core.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer = DistilBertTokenizer(tokenizer_object=core, model_max_length=MAX_LENGTH)
    return tokenizer


def make_network(vocabulary: int) -> DistilBertForSequenceClassification:
    config = DistilBertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=MAX_LENGTH,
        dim=96,
        n_layers=2,
        n_heads=4,
        hidden_dim=192,
        initializer_range=0.03,
        dropout=DROPOUT,
        attention_dropout=0.0,
        seq_classif_dropout=DROPOUT,
        pad_token_id=SPECIAL.index("[PAD]"),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    return DistilBertForSequenceClassification(config)


def batches(rows: list[list[int]], positive: list[float]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """One epoch's batches in random order, as (ids, mask, targets); rows of similar length share a batch."""
    order = torch.randperm(len(rows)).tolist()
    chunks = [
        sorted(order[i : i + BATCH * 50], key=lambda row: len(rows[row])) for i in range(0, len(order), BATCH * 50)
    ]
    picks = [chunk[i : i + BATCH] for chunk in chunks for i in range(0, len(chunk), BATCH)]
    for batch in torch.randperm(len(picks)).tolist():
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(rows[row]) for row in picks[batch]], batch_first=True)
        targets = torch.tensor([[1 - positive[row], positive[row]] for row in picks[batch]])
        yield ids, (ids != 0).long(), targets


def train(network: DistilBertForSequenceClassification, rows: list[list[int]], positive: list[float]) -> None:
    """Train the network in place on token ids and the probability of POSITIVE; leaves it in evaluation mode."""
    steps = EPOCHS * -(-len(rows) // BATCH) + EPOCHS
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    loss_of = torch.nn.CrossEntropyLoss()
    network.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for ids, mask, targets in batches(rows, positive):
            # Random words are masked: most words of real feedback are missing in so small a vocabulary.
            hidden = (torch.rand(ids.shape) < UNKNOWN_RATE) & (ids >= len(SPECIAL))
            logits = network(input_ids=ids.masked_fill(hidden, SPECIAL.index("[UNK]")), attention_mask=mask).logits
            loss = loss_of(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(targets)
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / len(rows):.3f}", flush=True)
    network.eval()


def wrong_answers(model: Path, sentences: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The sentences that the saved model labels differently, through the pipeline of transformers."""
    classify = pipeline("text-classification", model=str(model), device="cpu")
    answers = classify([text for text, _ in sentences])
    return [row for row, answer in zip(sentences, answers, strict=True) if answer["label"] != row[1]]


def measured(model: Path, sentences: list[tuple[str, str]]) -> dict[str, Any]:
    """Accuracy of the saved model."""
    right = len(sentences) - len(wrong_answers(model, sentences))
    return {"accuracy": right / len(sentences), "sentences": len(sentences)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "model", help="(default: %(default)s)")
    parser.add_argument("--sentences", type=Path, help=SENTENCES)
    parser.add_argument("--rated", type=Path, help=RATED)
    parser.add_argument("--encoder", type=Path, help=ENCODER)
    options = parser.parse_args()
    started = time.monotonic()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # a second thread makes so small a network slower
    learned, held = split(read_sentences(options.sentences)) if options.sentences else ([], [])
    texts = own_texts() + (read_rated(options.rated) if options.rated else [])
    texts += soft(learned) * REPEATS
    unseen = [*held, *read_sentences(HANDWRITTEN)]
    near = near_any([text for text, _ in texts], [text for text, _ in unseen])
    texts = [row for row, is_near in zip(texts, near, strict=True) if not is_near]
    train_and_save(texts, options.encoder, options.out)
    print(f"trained in {time.monotonic() - started:.0f} s")
    hand = measured(options.out, read_sentences(HANDWRITTEN)) | {"texts": "sentences that were written for this"}
    report = measured(options.out, held) | {"texts": HELD_TEXTS, "source": SENTENCES} if held else hand
    (options.out / "accuracy.json").write_text(json.dumps(report | {"handwritten": hand}) + "\n", "utf-8")
    print(json.dumps(report | {"handwritten": hand}))


def train_and_save(texts: list[Soft], encoder: Path | None, out: Path) -> None:
    words = [text for text, _ in texts]
    pieces = frequent_pieces(encoder, words, VOCABULARY, SPECIAL) if encoder else None
    tokenizer = make_tokenizer(words, pieces)
    network = make_network(len(tokenizer))
    if encoder and pieces:
        network.distilbert.embeddings.word_embeddings.weight.data.copy_(vectors_of(encoder, pieces, network.config.dim))
    train(network, tokenizer(words, truncation=True)["input_ids"], [positive for _, positive in texts])
    network.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
