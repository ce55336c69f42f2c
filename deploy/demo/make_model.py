"""`python -m labelstream.deploy.demo.make_model [--out DIR]`: the demo's tiny model, from nothing but this folder.

Takes a few minutes on two CPU cores. All seeds are fixed, so the same versions on the same kind of machine give the
same model. The accuracy it reports is on hand-written sentences, which take no part in the training.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

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

HERE = Path(__file__).parent
WRITTEN, HANDWRITTEN = HERE / "written.jsonl", HERE / "handwritten.jsonl"
SEED, CORPUS_SIZE, EPOCHS, BATCH, VOCABULARY, MAX_LENGTH = 20_240, 40_000, 5, 64, 4000, 128
WRITTEN_REPEATS = 20
LEARNING_RATE, UNKNOWN_RATE = 1e-3, 0.12
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def training_corpus() -> list[tuple[str, int]]:
    """The sentences the shipped model was trained on, each with the index of its label: made ones and written ones."""
    written = [(text, LABELS.index(label)) for text, label in read_sentences(WRITTEN)]
    return corpus(CORPUS_SIZE, SEED) + written * WRITTEN_REPEATS


def read_sentences(path: Path) -> list[tuple[str, str]]:
    """(text, label) of each line of a file of `{"text", "label"}` lines."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [(row["text"], row["label"]) for row in rows]


def make_tokenizer(texts: list[str]) -> PreTrainedTokenizerBase:
    """A BERT-like tokenizer with a WordPiece vocabulary of these texts."""
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
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
        dropout=0.05,
        attention_dropout=0.0,
        seq_classif_dropout=0.0,
        pad_token_id=SPECIAL.index("[PAD]"),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    return DistilBertForSequenceClassification(config)


def batches(rows: list[list[int]], labels: list[int]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """One epoch's batches in random order, as (ids, mask, labels); rows of like length share one, to pad little."""
    order = torch.randperm(len(rows)).tolist()
    chunks = [
        sorted(order[i : i + BATCH * 50], key=lambda row: len(rows[row])) for i in range(0, len(order), BATCH * 50)
    ]
    picks = [chunk[i : i + BATCH] for chunk in chunks for i in range(0, len(chunk), BATCH)]
    for batch in torch.randperm(len(picks)).tolist():
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(rows[row]) for row in picks[batch]], batch_first=True)
        yield ids, (ids != 0).long(), torch.tensor([labels[row] for row in picks[batch]])


def train(network: DistilBertForSequenceClassification, rows: list[list[int]], labels: list[int]) -> None:
    """Trains the network in place on token ids and label indices; leaves it in evaluation mode."""
    steps = EPOCHS * -(-len(rows) // BATCH) + EPOCHS
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
    network.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for ids, mask, targets in batches(rows, labels):
            # Words go missing at random: most words of real feedback are not in so small a vocabulary either.
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
    """The sentences that the saved model labels otherwise, found the way a user of transformers would."""
    classify = pipeline("text-classification", model=str(model), device="cpu")
    answers = classify([text for text, _ in sentences])
    return [row for row, answer in zip(sentences, answers, strict=True) if answer["label"] != row[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "model", help="the folder to write (default: %(default)s)")
    options = parser.parse_args()
    started = time.monotonic()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # so small a network only waits for a second one
    texts, labels = zip(*training_corpus(), strict=True)
    tokenizer = make_tokenizer(list(texts))
    network = make_network(len(tokenizer))
    train(network, tokenizer(list(texts), truncation=True)["input_ids"], list(labels))
    network.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    print(f"trained in {time.monotonic() - started:.0f} s")
    sentences = read_sentences(HANDWRITTEN)
    accuracy = 1 - len(wrong_answers(options.out, sentences)) / len(sentences)
    report = {"accuracy": accuracy, "sentences": len(sentences), "source": "deploy/demo/handwritten.jsonl"}
    (options.out / "accuracy.json").write_text(json.dumps(report) + "\n", "utf-8")
    print(f"hand-written: {accuracy:.3f} of {len(sentences)}")


if __name__ == "__main__":
    main()
