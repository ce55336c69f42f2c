"""The report has what the table has."""

from labelstream.deploy.cli.evaluation.candidates import Candidate
from labelstream.deploy.cli.evaluation.report import report_html
from labelstream.deploy.cli.evaluation.results import Evaluated, Results
from labelstream.workers.evaluation.examples import Duplicates
from labelstream.workers.evaluation.metrics.measure import measure
from tests.support.made_predictions import made_predictions


def test_report_has_metrics_and_facts() -> None:
    made = made_predictions()
    measured = measure(made, None, 50, 0)
    measured.undefined["eval_x"] = "no <reason>"
    one = Evaluated(Candidate("m", "src", {"dtype": "float32"}), "rev", "float32", "cpu", made, measured, [])
    page = report_html(Results("data.jsonl", ["data.jsonl:7: broken"], Duplicates(2, 5, 1), [one], []), None)
    for said in (
        "Model: src, revision rev, float32 on cpu.",
        "600 texts, 0 truncated.",
        "Options: dtype=float32.",
        "2 texts more than once, in 5 rows, 1 of them with different labels.",
        "1 text left out; the first: data.jsonl:7: broken.",
        "eval_x is undefined: no &lt;reason&gt;.",
        "<title>m on data.jsonl</title>",
    ):
        assert said in page
    accuracy, (low, high) = measured.values["eval_accuracy"], measured.intervals["eval_accuracy"]
    assert f'eval_accuracy</th><td class="number">{accuracy:.4f}</td><td>{low:.4f} to {high:.4f}</td>' in page
