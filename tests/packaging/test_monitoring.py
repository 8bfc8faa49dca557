"""The Grafana dashboard: it can be imported anywhere, and every expression names metrics that fer-edge exports."""

import json
import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from fer_edge.network.classifier import Classifier
from fer_edge.serve.metrics import RunCollector
from fer_edge.serve.run_state import RunState
from fer_models import default_model
from tests.edge.serve.brokers import free_port

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


@pytest.mark.slow
def test_prometheus_reads_a_run_and_every_panel_gets_its_values(tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian's package prometheus)")
    ports = [free_port(), free_port()]
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    scraping = {"job_name": "fer-edge", "static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]}
    scraping["authorization"] = {"credentials_file": str(token)}
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scraping]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(settings))
    commands = [
        [sys.executable, "-m", "fer_edge", *["demo:"] * 20, "--realtime", "--headless",
         "--serve", f"127.0.0.1:{ports[0]}", "--serve-token", token],
        [program, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
         f"--web.listen-address=127.0.0.1:{ports[1]}"],
    ]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]

    def values(expression: str) -> list[float]:
        ready = re.sub(r"\$__\w+", "1m", expression.replace("$instance", ".*"))
        address = f"http://127.0.0.1:{ports[1]}/api/v1/query?query={quote(ready)}"
        try:
            with urlopen(address, timeout=10) as answer:
                return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]
        except OSError:
            return []

    wanted = [each for each in EXPRESSIONS if "temperature" not in each]  # not every machine has a sensor
    try:
        deadline = time.monotonic() + 90
        while missing := [each for each in wanted if not any(map(math.isfinite, values(each)))]:
            assert time.monotonic() < deadline, missing
            time.sleep(0.5)
        assert values("fer_edge_source_up") == [1]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
