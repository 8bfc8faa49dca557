"""What happened over time: results of `--json` and `--csv` as tables, summaries, timelines and a report.

Needs the extra: pip install 'fer-edge[analysis]'. Results are only read here; the run writes them (sinks/).

    files, parsing      result files, their pieces, JSON lines and CSV
    tables, resampling  blocks of results as pandas tables, runs, durations
    results             read_results, load_results
    summaries           summarize: shares, seconds and faces, with intervals by `bootstrap`
    correction          shares corrected for the network's known errors
    timelines           timeline: shares per interval, per face and for all
    provenance          the run's report: settings, network, error rates
    words, comparison   the summary in sentences; two runs side by side
    report/             the page, as HTML with drawings
    job                 `fer-edge analyze`
"""

try:
    import pandas as _pandas  # noqa: F401 - checked first, so that the message names the extra
except ModuleNotFoundError as error:
    from fer_edge.errors import MissingExtraError

    if error.name != "pandas":
        raise
    raise MissingExtraError("fer_edge.analysis", "analysis", "pandas") from error

from fer_edge.analysis.results import Results, load_results, read_results
from fer_edge.analysis.summaries import summarize
from fer_edge.analysis.timelines import timeline

__all__ = ["Results", "load_results", "read_results", "summarize", "timeline"]
