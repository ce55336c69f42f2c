"""Examples that `--help` shows below the options of commands with more than one form."""

_EXAMPLES = {
    "apply": (
        "labelstream apply -c labelstream.yaml",
        "labelstream apply -c labelstream.yaml --address ray-head:6379",
    ),
    "bench stream": (
        "labelstream bench stream -m owner/name --texts texts.txt",
        "labelstream bench stream -b localhost:9092 --plot latency.png",
    ),
    "classify": (
        "labelstream classify 'The room was clean' 'The food was cold'",
        "cat texts.txt | labelstream classify --json",
        "labelstream classify -i tickets.csv --text-field body -o labels.csv",
        "labelstream classify -m owner/nli-model -l bill -l parcel 'Where is it?'",
    ),
    "dlq list": (
        "labelstream dlq list -c labelstream.yaml --reason invalid_json",
        "labelstream dlq list -c labelstream.yaml feedback --since 2h --json",
    ),
    "dlq redrive": (
        "labelstream dlq redrive -c labelstream.yaml --dry-run",
        "labelstream dlq redrive -c labelstream.yaml --reason timed_out --yes",
        "labelstream dlq redrive -c labelstream.yaml --at 0:42 --to feedback.retry",
    ),
    "evaluate": (
        "labelstream evaluate -m owner/name labeled.jsonl",
        "labelstream evaluate labeled.csv --label-map good=POSITIVE",
        "labelstream evaluate labeled.jsonl --compare dtype=bfloat16",
        "labelstream evaluate labeled.jsonl --fail-under f1_macro=0.9",
        "labelstream evaluate a.csv --target precision=0.9 --write-config b.yaml",
    ),
    "predict": (
        "labelstream predict 'The room was clean' 'The food was cold'",
        "labelstream predict -u https://host:8000 -m topics -i in.csv -o out.csv",
    ),
    "produce": (
        "echo 'Works well' | labelstream produce feedback -c labelstream.yaml",
        "labelstream produce feedback a.csv --text-field body -c labelstream.yaml",
        "labelstream produce feedback.raw lines.jsonl.gz -b localhost:9092",
    ),
    "replay": (
        "labelstream replay feedback -c labelstream.yaml --to-time 2h --dry-run",
        "labelstream replay feedback -c my.yaml --to-offset feedback.raw:3:4711",
    ),
    "run": (
        "labelstream run -c labelstream.yaml --metrics-port 9100",
        "labelstream run -c labelstream.yaml --address ray-head:6379",
    ),
    "simulate": (
        "labelstream simulate arrivals.csv -c labelstream.yaml --plot load.png",
        "labelstream simulate --seeds 1,2,3",
    ),
    "status": (
        "labelstream status",
        "labelstream status feedback --json",
        "labelstream status --address ray-head:6379 --wait 5m",
    ),
    "tail": (
        "labelstream tail feedback -c labelstream.yaml --follow --with-text",
        "labelstream tail feedback.labels -b localhost:9092 --since 10m --json",
    ),
}


def examples(command: str) -> str | None:
    """The Markdown list of examples of `command`, such as `dlq list`; None if there are none."""
    found = _EXAMPLES.get(command)
    return None if found is None else "\n\n".join(["**Examples**", *(f"- `{example}`" for example in found)])
