"""The pages: of one run, and of two runs side by side."""

from fer_edge.analysis.comparison import Comparison, comparison_sentences
from fer_edge.analysis.findings import Findings
from fer_edge.analysis.report import charts, html, network, sections
from fer_edge.analysis.report.html import Markup, element
from fer_edge.analysis.summaries import UNSURE
from fer_edge.analysis.words import percent, sentences
from fer_edge.sentences import duration
from fer_edge.system import package_version

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # nothing is loaded and no script runs
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d21; --soft: #5a6069; --line: #c9cdd3; --tint: #f3f4f6;
  --mark: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e9ebee; --soft: #a4abb5; --line: #454b55;
  --tint: #20242a; --mark: #f0b84a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p, li { max-width: 44rem; overflow-wrap: anywhere; }
.lead { font-size: 1.1rem; margin: .5rem 0; }
.small, .about, figcaption, caption { color: var(--soft); font-size: .9rem; }
.caution { border-left: .25rem solid var(--mark); padding: .25rem 0 .25rem .75rem; margin: 1rem 0; }
figure { margin: 1.5rem 0 2rem; }
figcaption { margin-bottom: .4rem; max-width: 44rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: currentColor; font-family: inherit; }
.wide { overflow-x: auto; }
.wide:focus-visible { outline: 2px solid var(--mark); }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .5rem 0 1rem;
  min-width: 50%; }
caption { text-align: left; padding-bottom: .3rem; } caption span { display: block; max-width: min(44rem, 88vw); }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } tbody th { font-weight: 500; min-width: 4.5rem; }
th.n, td.n { text-align: right; white-space: nowrap; }
td:not(.n) { overflow-wrap: anywhere; }
.option { white-space: nowrap; font-family: ui-monospace, monospace; font-size: .95em; }
td .right { font-weight: 700; background: var(--tint); padding: 0 .25rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: 0; margin: .5rem 0; }
.legend li { display: flex; align-items: center; gap: .4rem; font-size: .9rem; }
.swatch { width: 1rem; height: 1rem; border: 1px solid var(--soft); display: inline-block; }
.swatch.unsure { background: repeating-linear-gradient(135deg, transparent 0 3px, var(--ink) 3px 4px); }
.swatch.gap { border-style: dashed; }
summary { cursor: pointer; font-size: .9rem; color: var(--soft); }
@media screen and (max-width: 40rem) { svg text { font-size: 19px !important; }
  main { padding: 1rem .9rem 3rem; } h1 { font-size: 1.4rem; } .lead { font-size: 1.02rem; } }
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --tint: #eee; --mark: #000; color-scheme: light; }
  @page { margin: 15mm; }
  main { max-width: none; padding: 0; } body { font-size: 10pt; }
  .wide { overflow: visible; } figure > .wide { break-inside: avoid; }
  h2, h3, figcaption, .legend { break-after: avoid; } .legend { break-inside: avoid; }
  summary { display: none; } caption { break-after: avoid; } thead { display: table-header-group; }
  tr { break-inside: avoid; } table { font-size: 8pt; } th, td { padding-right: .5rem; }
  * { print-color-adjust: exact; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""


def report_page(found: Findings) -> str:
    """The page about one run."""
    parts = [sections.summary_section(found)]
    if found.summary["rows"]:
        parts.append(sections.shares_section(found))
        parts += [sections.images_section(found)] if found.summary["seconds"] is None else sections.time_sections(found)
    parts += [network.errors_section(found), network.settings_section(found), network.limits_section()]
    files = [path.name for path in found.results.files]
    about = found.name if len(files) == 1 else f"{', '.join(files[:5])}{', ...' if len(files) > 5 else ''}"
    if found.results.resampled_s is not None:
        about += f"; rows merged in intervals of {duration(found.results.resampled_s)}"
    return _page(f"Emotions over time: {found.name}", about, parts)


def comparison_page(comparison: Comparison, runs: tuple[Findings, Findings]) -> str:
    """The page about two runs."""
    a, b = comparison.a, comparison.b
    words = [element("p", sentence, class_="lead") for sentence in comparison_sentences(comparison)]
    caution = element("p", sections.CAUTION, class_="caution")
    parts = [html.section("Summary", *words, caution, *_differing(runs))]
    if a["rows"] and b["rows"]:
        parts.append(_shares_side_by_side(comparison))
    for letter, found in zip("AB", runs, strict=True):
        said = [element("p", sentence) for sentence in sentences(found.summary)]
        notes = [element("li", note) for note in found.results.notes]
        timed = found.summary["rows"] and found.summary["seconds"] is not None
        drawings = sections.time_sections(found)[:1] if timed else []
        nested = [Markup(part.replace('<h2 id="over-time">Over time</h2>', "")) for part in drawings]
        parts.append(
            html.section(f"{letter}: {found.name}", *said, *([element("ul", *notes)] if notes else []), *nested)
        )
    for letter, found in zip("AB", runs, strict=True):
        for make in (network.errors_section, network.settings_section):
            parts.append(
                Markup(make(found).replace('<h2 id="', f'<h2 id="{letter.lower()}-').replace('">', f'">{letter}: ', 1))
            )
    parts.append(network.limits_section())
    return _page(f"Two runs: {comparison.names[0]} and {comparison.names[1]}", "A and B side by side", parts)


def _differing(runs: tuple[Findings, Findings]) -> list[Markup]:
    """What makes the runs hard to compare."""
    a, b = (found.report for found in runs)
    if a is None or b is None:
        missing = " and ".join(letter for letter, report in zip("AB", (a, b), strict=True) if report is None)
        return [
            element(
                "p",
                f"The report of run {missing} was not found, so it is not known whether network and settings agree.",
            )
        ]
    lines = []
    if (a.model.get("sha256"), a.model.get("head")) != (b.model.get("sha256"), b.model.get("head")):
        lines.append("The runs used different networks or heads, so a difference may come from the network.")
    first, second = (report.values.get("settings") or {} for report in (a, b))
    other = [name for name in network.SETTINGS[:-1] if first.get(name) != second.get(name)]
    if other:
        lines.append(f"These settings differ: {', '.join(other)}.")
    if a.values.get("detector") != b.values.get("detector"):
        lines.append("The detectors differ.")
    return [element("p", line, class_="caution") for line in lines]


def _shares_side_by_side(comparison: Comparison) -> Markup:
    a, b = comparison.a, comparison.b
    names = [*a["labels"], UNSURE] if a["labels"] else [*b["labels"], UNSURE]
    body = []
    for name in names:
        first, second = (side[UNSURE] if name == UNSURE else side["emotions"][name] for side in (a, b))
        row = comparison.differences[name]
        body.append([
            name, percent(first["share"]), percent(second["share"]), f"{100 * row['difference']:+.1f}",
            f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}", "yes" if row["clear"] else "no",
        ])  # fmt: skip
    head = ["emotion", "A", "B", "B − A, points", "interval", "more than chance"]
    what = "Shares with 95 % intervals: A is the filled circle, B the open square"
    figures = [
        ["faces", *(f"{side['faces']:,}" for side in (a, b))],
        ["seen for", *("" if side["seconds"] is None else duration(side["seconds"]) for side in (a, b))],
        ["changes per minute",
         *("" if side["changes_per_minute"] is None else f"{side['changes_per_minute']:.1f}" for side in (a, b))],
    ]  # fmt: skip
    how = (
        "The intervals of the differences hold for all emotions together with 95 %. They cover chance, not what else "
        "differs between the runs: other people, light, camera or distance change the figures, too."
    )
    return html.section(
        "Side by side",
        html.figure(charts.paired_shares(a, b, names, what), what),
        html.table(head, body, "Differences of the shares"),
        html.table(["", "A", "B"], figures, "Both runs"),
        element("p", how, class_="small"),
    )


def _page(title: str, about: str, parts: list[Markup]) -> str:
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    ]
    made = element("p", f"{about} · fer-edge {package_version()}", class_="about")
    body = element("main", element("h1", title), made, html.joined(parts))
    return "<!doctype html>\n" + element("html", element("head", *head), element("body", body), lang="en") + "\n"
