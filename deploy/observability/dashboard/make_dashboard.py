"""Writes the Grafana dashboard: `python -m labelstream.deploy.observability.dashboard.make_dashboard`, `make
dashboard`.

Uses Grafana's own library (grafana-foundation-sdk, a development dependency), so that every field exists.
"""

import itertools
import string
from pathlib import Path

from grafana_foundation_sdk.builders import common as style
from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, StackingMode, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh

from labelstream.deploy.observability.dashboard.panels import ROWS, Panel

TARGET = Path(__file__).parents[3] / "helm/labelstream/files/dashboard.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
BELOW = LegendPlacement.BOTTOM
WIDTH, HEIGHT = 8, 8  # three panels in a row of 24


def build() -> str:
    """The dashboard's JSON."""
    board = (
        dashboard.Dashboard("Labelstream")
        .uid("labelstream")
        .description("Kafka in, models on Ray Serve, labels out: backlog, load and results.")
        .tags(["labelstream", "kafka", "ray"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("pipeline", "ray_labelstream_workers"))
        .with_variable(_variable("model", "ray_labelstream_model_replicas"))
    )
    ids = itertools.count(1)
    for row in ROWS:
        board = board.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            board = board.with_panel(_panel(panel).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _variable(name: str, metric: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .datasource(SOURCE)
        .query(f"label_values({metric}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.text)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .span(WIDTH)
        .height(HEIGHT)
        .fill_opacity(60 if panel.stacked else 8)
        .stacking(style.StackingConfig().mode(StackingMode.NORMAL if panel.stacked else StackingMode.NONE))
        .legend(style.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST).placement(BELOW))
        .tooltip(style.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    for ref, (expression, legend) in zip(string.ascii_uppercase, panel.queries, strict=False):
        made = made.with_target(prometheus.Dataquery().ref_id(ref).expr(expression).legend_format(legend).range())
    return made


if __name__ == "__main__":
    TARGET.write_text(build())
