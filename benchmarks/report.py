"""Write docs/benchmarks.md, a scorecard, and a page per benchmark from the results files and plots of a folder.

Reads the form that benchmarks/README.md describes. With --again it compares the median ratios with those of a second
run of the same benchmarks.

    python -m benchmarks.report build/bench --out docs/benchmarks.md --again build/bench-2
"""

import json
import os
import re
import shlex
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.results import Figure, figure_table, machine_line
from benchmarks.harness.tables import number
from benchmarks.harness.timing import noise_line
from benchmarks.run_all import BENCHMARKS
from benchmarks.scorecard.figures import ABSENT, TRUTH_COLUMNS, Runs, our_rows, peer_rows, run_rows, truth_rows
from benchmarks.scorecard.recognizers import markdown, to_json
from fer_edge.console import run_main
from fer_edge.errors import DataError
from fer_edge.files import atomic_write
from fer_models import model_path

ORDER = (
    "accuracy",
    "people",
    "groups",
    "latency",
    "pipeline",
    "detector",
    "runtime",
    "footprint",
    "packages",
    "training",
    "serving",
    "soak",
    "framing",
)
REPEATED, OTHERS = "two-runs", "others"  # names of pages that are not one benchmark's
WIDTH = 100
AIM_COLUMNS = ("", "measured", "quartiles", "aim", "")
WITHIN = 0.15  # two medians that differ less agree
MACHINE_KEYS = ("cpu", "cores", "dot_product", "python", "onnxruntime", "opencv", "numpy", "torch")
ROOT = Path(__file__).parents[1]


def read_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """The results files of a folder by name, in ORDER; DataError if there are none, or one is not a JSON object."""
    runs = {}
    for path in sorted(folder.glob("*.json"), key=lambda path: (place(path.stem), path.stem)):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} can't be read as JSON ({error}): run its benchmark again") from error
        if not isinstance(content, dict):
            raise DataError(f"{path} is not a JSON object: run its benchmark again")
        if not isinstance(content.get("tables", []), list):
            raise DataError(f"{path} has the form of an earlier release: run its benchmark again")
        runs[path.stem] = content
    if not runs:
        raise DataError(f"{folder} holds no JSON files: run `make bench` first")
    return runs


def place(name: str) -> int:
    """The place of a results file in the report."""
    base = name.split("-")[0]
    return ORDER.index(base) if base in ORDER else len(ORDER)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in [columns, *rows]]
    rule = ["---" if index == 0 or not numeric(rows, index) else "---:" for index in range(len(columns))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])


def numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    """Whether a column holds numbers and short units only."""
    cells = [str(row[index]) for row in rows]
    return all(cell in ("", "-", "–") or (cell.lstrip("+-−")[:1].isdigit() and len(cell) < 12) for cell in cells)


def figures_of(content: Mapping[str, Any]) -> list[Figure]:
    """The figures of a run."""
    return [
        Figure(
            item["name"], item["median"], tuple(item["quartiles"]), item["samples"], item["ratio"], item["unit"],
            item["note"], item.get("bound", ">="), item.get("target"),
        )
        for item in content.get("figures", [])
    ]  # fmt: skip


def figure_lines(figures: Sequence[Figure]) -> str:
    """Figures as a Markdown table, ratios first; without the columns for rounds and notes if those are empty."""
    table = figure_table(figures)
    columns = zip(table.columns, *table.rows, strict=True)
    keep = [index for index, (_, *cells) in enumerate(columns) if index < 4 or set(cells) - {"", "0"}]
    rows = [[row[index] for index in keep] for row in table.rows]
    return markdown_table([table.columns[index] for index in keep], rows)


def module_of(benchmark: str) -> str:
    """The module of a benchmark, by the name in its results: "latency" is benchmarks.speed.latency."""
    if benchmark in BENCHMARKS:
        return f"benchmarks.{BENCHMARKS[benchmark].module}"
    found = sorted(Path(__file__).parent.glob(f"*/{benchmark}.py"))
    return f"benchmarks.{found[0].parent.name}.{benchmark}" if found else f"benchmarks.{benchmark}"


def section(name: str, content: Mapping[str, Any], plot: str | None) -> str:
    """One benchmark: question, command, machine, conditions, plot, tables, spread, what was left out."""
    title = content.get("benchmark", name)
    parts = [f"# {name}" if title == name else f"# {name} ({title})"]
    if content.get("question"):
        parts.append(f"*{content['question']}*")
    arguments = content.get("arguments")
    if arguments is not None:
        parts.append(f"```sh\n{command_line(module_of(title), arguments)}\n```")
    conditions = [f"Measured on {machine}." for machine in machines_of({name: content})]
    conditions += [str(content["threads"])] if content.get("threads") else []
    conditions += [noise_line(content["noise"])] if content.get("noise") else []
    parts.append(" ".join(conditions))
    if plot is not None:
        parts.append(f"![{name}]({plot})")
    for table in content.get("tables", []):
        columns, rows = [*map(plain, table["columns"])], [[*map(plain, row)] for row in table["rows"]]
        parts.append("\n\n".join([f"## {plain(table['title'])}", markdown_table(columns, rows), table.get("note", "")]))
    figures = figures_of(content)
    aims = [figure for figure in figures if figure.target is not None]
    if aims:
        parts.append(f"## Aims\n\n{markdown_table(AIM_COLUMNS, [*map(aim_row, aims)])}")
    if figures:
        summary = f"Spread: medians and quartiles of {len(figures)} figures"
        parts.append(f"<details><summary>{summary}</summary>\n\n{figure_lines(figures)}\n\n</details>")
    skipped = content.get("skipped") or []
    if skipped:
        parts.append("\n".join(["## Left out", "", *(f"- {sentence}" for sentence in skipped)]))
    return "\n\n".join(filter(None, parts))


def aim_row(figure: Figure) -> tuple[str, str, str, str, str]:
    """A figure with a target in the order of AIM_COLUMNS."""
    measured = f"{number(figure.median)} {figure.unit}".strip()
    spread = " to ".join(map(number, figure.quartiles))
    return figure.name, measured, spread, f"{figure.bound} {figure.target:g}", "met" if figure.met else "**missed**"


def missed_aims(runs: Runs) -> list[str]:
    """A sentence that names every aim that was missed, if there are any."""
    missed = [
        f"{name}: {figure.name} {number(figure.median)} (aim {figure.bound} {figure.target:g})"
        for name, content in runs.items()
        for figure in figures_of(content)
        if not figure.met
    ]
    return [f"**Aims missed in these runs**: {'; '.join(missed)}."] if missed else []


def plain(text: str) -> str:
    """The text with heads of the shipped files by their names: "people" for "fer2013.int8.onnx people".

    >>> plain("recall, fer2013.onnx people")
    'recall, people, fp32'
    """
    text = re.sub(rf"{re.escape(model_path('int8').name)} (\w+)", r"\1", text)
    return re.sub(rf"{re.escape(model_path('fp32').name)} (\w+)", r"\1, fp32", text)


def command_line(module: str, arguments: str) -> str:
    """The command of a run, without where its outputs went, wrapped for a page."""
    words = re.sub(r" ?--(json|plot) \S+", "", arguments).split()
    lines = textwrap.wrap(
        shlex.join(["python", "-m", module, *words]), 90, break_long_words=False, break_on_hyphens=False
    )
    return " \\\n    ".join(lines)


def scorecard(runs: Runs) -> str:
    """The main figures, for the top of the page: about one screen."""
    parts = [
        "## Scorecard",
        markdown(to_json(runs)),
        markdown_table(("fer-edge", "int8 (default)", "fp32"), our_rows(runs)),
        markdown_table(("a whole run", "int8"), run_rows(runs)),
        f"{ABSENT}: not measured in these runs.",
    ]
    return "\n\n".join(parts)


def others(runs: Runs) -> str:
    """All that is known of other people's recognizers, and each head beside them with intervals."""
    return "\n\n".join(
        [
            "# Other people's recognizers",
            *two_truths(runs),
            "What could be run was measured here on the same faces. † marks figures that the authors published, on "
            "their own data and machines: they are not directly comparable.",
            markdown_table(("who", "what", "value", "where from"), peer_rows(runs)),
        ]
    )


def two_truths(runs: Runs) -> list[str]:
    """What each head and each peer reaches against each truth; nothing if that was not measured."""
    rows = truth_rows(runs)
    if not rows:
        return []
    sentence = (
        "FER2013's labels are the words that each photograph was searched by; FER+ asked ten people per face. They "
        "often disagree, and calm people show it most. So each head is measured against both, and on people whose "
        "photographs it was not trained on (in %, with 95 % intervals):"
    )
    return [sentence, markdown_table(TRUTH_COLUMNS, [[*map(plain, row)] for row in rows])]


def changes(runs: Runs, again: Runs) -> list[tuple[str, str, float, float]]:
    """Benchmark, name and both medians of each ratio that both runs have."""
    found = []
    for name, content in runs.items():
        second = {item.name: item for item in figures_of(again.get(name, {}))}
        found += [
            (name, item.name, item.median, second[item.name].median)
            for item in figures_of(content)
            if item.ratio and item.name in second
        ]
    return found


def difference(first: float, second: float) -> float:
    """The difference of two medians, relative to the smaller."""
    low, high = sorted((abs(first), abs(second)))
    return high / low - 1 if low else 0.0


def repeat_section(runs: Runs, again: Runs) -> str:
    """How much the ratios of two runs differ."""
    pairs = changes(runs, again)
    within = sum(difference(first, second) <= WITHIN for *_, first, second in pairs)
    rows = [
        (f"{name}: {item}", number(first), number(second), f"{difference(first, second):.1%}")
        for name, item, first, second in sorted(pairs, key=lambda pair: -difference(pair[2], pair[3]))
    ]
    return "\n\n".join(
        [
            "# Two runs compared",
            f"Of {len(pairs)} ratios, {within} have medians within {WITHIN:.0%} of each other in two runs.",
            markdown_table(("ratio, largest difference first", "first run", "second run", "difference"), rows),
        ]
    )


def copied_plots(folder: Path, names: Sequence[str], images: Path, out: Path) -> dict[str, str]:
    """Copy the plots of `names` to `images`; their paths relative to the page `out`."""
    found = {}
    for name in names:
        plot = folder / f"{name}.png"
        if plot.is_file():
            images.mkdir(parents=True, exist_ok=True)
            with atomic_write(images / plot.name) as part:
                shutil.copyfile(plot, part)
            found[name] = os.path.relpath(images / plot.name, out.parent)
    return found


def machines_of(runs: Runs) -> list[str]:
    """A line per machine or set of versions; runs that name other keys of the same machine share one."""
    found: list[dict[str, Any]] = []
    for content in runs.values():
        machine = {name: value for name, value in (content.get("machine") or {}).items() if name in MACHINE_KEYS}
        for other in found:
            if all(other.get(name, value) == value for name, value in machine.items()):
                other.update(machine)
                break
        else:
            found.append(machine)
    return [machine_line(machine) for machine in found if machine]


def noisy_runs(runs: Runs) -> list[str]:
    """A warning that names the runs on a noisy machine, if there are any."""
    noisy = [name for name, content in runs.items() if (content.get("noise") or {}).get("verdict") == "noisy"]
    if not noisy:
        return []
    return [
        f"**The machine was noisy during {', '.join(noisy)}**: it did other work too. Frame rates, delays and start "
        "times are worse than on an idle machine; ratios of single-threaded work are affected least."
    ]


def document(runs: Runs, again: Runs | None, folder: str) -> str:
    """The scorecard, with links to the pages in `folder`."""
    machines = machines_of(runs)
    missing = [name for name in BENCHMARKS if not any(place(run) == place(name) for run in runs)]
    head = [
        "# Benchmarks",
        "Made by `make report` from the results of `make bench` ([how to run it](../benchmarks/README.md)). "
        "Contestants take turns in one process, a first round warms up, and figures are medians over rounds. Ratios "
        "carry over to other machines better than times.",
        "Measured on: " + "; and ".join(machines) + ".",
        *([f"Not in these runs: {', '.join(missing)}."] if missing else []),
        *noisy_runs(runs),
        *missed_aims(runs),
        scorecard(runs),
    ]
    rows = [(f"[{name}]({folder}/{name}.md)", asked(content)) for name, content in runs.items()]
    rows.append((f"[{OTHERS}]({folder}/{OTHERS}.md)", "How right are other people's recognizers, with intervals?"))
    if again:
        rows.append((f"[{REPEATED}]({folder}/{REPEATED}.md)", "How much do two runs differ?"))
    return "\n\n".join([*head, "## Details", markdown_table(("page", "question"), rows)]) + "\n"


def asked(content: Mapping[str, Any]) -> str:
    """The question of a run, and the peers that took part."""
    peers = re.findall(r"--peer ([\w-]+)", str(content.get("arguments")))
    return str(content.get("question") or "") + (f" With {' and '.join(peers)}." if peers else "")


def wrapped(page: str) -> str:
    """The page with its paragraphs wrapped at WIDTH; headings, tables, lists, commands and images stay as they are."""
    blocks = page.split("\n\n")
    return "\n\n".join(
        block if block.startswith(("#", "|", "`", "-", "!", "<", " ")) else textwrap.fill(
            block, WIDTH, break_long_words=False, break_on_hyphens=False
        )
        for block in blocks
    )  # fmt: skip


def pages(runs: Runs, plots: Mapping[str, str], again: Runs | None, out: Path) -> dict[Path, str]:
    """Path and content of every page: the scorecard `out`, and a page per benchmark in the folder of its name."""
    folder = out.with_suffix("")
    found = {out: document(runs, again, folder.name)}
    found |= {folder / f"{name}.md": section(name, content, plots.get(name)) + "\n" for name, content in runs.items()}
    found[folder / f"{OTHERS}.md"] = others(runs) + "\n"
    if again:
        found[folder / f"{REPEATED}.md"] = repeat_section(runs, again) + "\n"
    return found


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "benchmarks.md", metavar="FILE",
              help="The page.  [default: docs/benchmarks.md]")  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), default=ROOT / "docs" / "images" / "bench", metavar="DIR",
              help="Folder for its plots.  [default: docs/images/bench]")  # fmt: skip
@click.option("--again", type=click.Path(path_type=Path), metavar="DIR", help="A second run to compare with.")
def main(folder: Path, out: Path, images: Path, again: Path | None) -> None:
    """Write the pages and log how two runs compare."""
    runs = read_runs(folder)
    second = read_runs(again) if again is not None else None
    plots = copied_plots(folder, list(runs), images, out.with_suffix("") / "page.md")
    try:
        written = pages(runs, plots, second, out)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}: a results file is incomplete ({error!r}): run its benchmark again") from error
    for page, content in written.items():
        page.parent.mkdir(exist_ok=True)
        with atomic_write(page) as part:
            part.write_text(wrapped(content).rstrip() + "\n", encoding="utf-8")
    click.echo(f"wrote {out} and {len(runs)} pages in {out.with_suffix('')} from {', '.join(runs)}", err=True)
    if second is not None:
        pairs = changes(runs, second)
        worst = max((difference(first, again_median) for *_, first, again_median in pairs), default=0.0)
        click.echo(f"{len(pairs)} ratios in both runs; medians differ by at most {worst:.1%}", err=True)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.report")
