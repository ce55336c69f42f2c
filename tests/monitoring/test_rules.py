"""Alert rules tested with promtool, and the dashboard compared with its source."""

import re
import subprocess
from pathlib import Path

import yaml

from labelstream.deploy.observability.dashboard.make_dashboard import TARGET, build
from labelstream.deploy.observability.metrics.table import METRICS
from tests.monitoring.prometheus import CONFIG, ROOT, RULES, tool


def test_alert_rules_pass_promtool_tests() -> None:
    subprocess.run([tool("promtool"), "check", "rules", str(RULES)], check=True)
    subprocess.run([tool("promtool"), "test", "rules", str(Path(__file__).with_name("alerts_test.yaml"))], check=True)


def test_each_alert_has_a_test() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    tested = Path(__file__).with_name("alerts_test.yaml").read_text()
    assert {rule["alert"] for rule in rules if "alert" in rule and rule["alert"] not in tested} == set()


def test_rules_and_dashboard_use_existing_metrics() -> None:
    known = {name for metric in METRICS.values() for name in metric.exported()}
    for file in (RULES, TARGET):
        asked = set(re.findall(r"\bray_\w+", file.read_text()))
        assert asked
        assert asked <= known


def test_scrape_config_keeps_labelstream_metrics_only() -> None:
    subprocess.run([tool("promtool"), "check", "config", "--syntax-only", str(CONFIG)], check=True)
    (job,) = yaml.safe_load(CONFIG.read_text())["scrape_configs"]
    (relabelling,) = job["metric_relabel_configs"]
    assert (relabelling["source_labels"], relabelling["action"]) == (["__name__"], "keep")
    kept = re.compile(relabelling["regex"])
    assert [name for metric in METRICS.values() for name in metric.exported() if not kept.fullmatch(name)] == []
    assert kept.fullmatch("ray_serve_long_poll_latency_ms_bucket") is None


def test_dashboard_file_equals_its_source() -> None:
    assert TARGET.read_text() == build(), "run `make dashboard`"


def test_queries_of_the_runbooks_are_promql(tmp_path: Path) -> None:
    pages = sorted((ROOT / "docs/how-to/runbooks").glob("*.md"))
    queries = [query for page in pages for query in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)]
    assert len(queries) > 15
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    subprocess.run([tool("promtool"), "check", "rules", "--lint=none", str(tmp_path / "rules.yaml")], check=True)
