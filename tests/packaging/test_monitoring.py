"""The Grafana dashboard: it can be imported anywhere, and every expression names metrics that fer-edge exports."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fer_edge.network.classifier import Classifier
from fer_edge.serve.metrics import RunCollector
from fer_edge.serve.run_state import RunState
from fer_models import default_model

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"], "gauge": [""]}


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """The names of all samples, those that only some machines have (a temperature) too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_edge.serve.run_state.temperature_c", lambda: 50.0)
        families = list(RunCollector(RunState(Classifier(default_model()))).collect())
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_names_metrics_that_are_exported(expression: str, exported: set[str]) -> None:
    named = set(re.findall(r"\bfer_edge_\w+", expression))
    assert named
    assert named - exported == set()


def test_everything_that_is_exported_is_shown(exported: set[str]) -> None:
    named = {name for expression in EXPRESSIONS for name in re.findall(r"\bfer_edge_\w+", expression)}
    assert exported - named == set()


def test_the_dashboard_asks_for_its_data_source() -> None:
    (variable,) = [each for each in DASHBOARD["templating"]["list"] if each["type"] == "datasource"]
    assert (variable["name"], variable["query"]) == ("datasource", "prometheus")
    sources = [panel["datasource"] for panel in DASHBOARD["panels"]]
    sources += [target["datasource"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert {source["uid"] for source in sources} == {"${datasource}"}


def test_panels_have_their_own_place_and_number() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in panels
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
    titles = " ".join(panel["title"] for panel in panels)
    for topic in ("FPS", "Faces", "Emotions", "Latency", "Drops", "Temperature", "Reconnects"):
        assert topic in titles


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\[\$__\w+\]", "[5m]", expression)}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    ran = promtool("check", "rules", file)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(EXPRESSIONS)} rules found" in ran.stdout


def test_the_example_s_prometheus_accepts_its_configuration() -> None:
    ran = promtool("check", "config", "--syntax-only", DEPLOY / "compose" / "prometheus.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
