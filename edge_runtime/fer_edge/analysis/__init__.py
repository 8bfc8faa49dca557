"""What happened over time: results of `--json` and `--csv` as tables, summaries, timelines and a report.

Needs the extra: pip install 'fer-edge[analysis]'. Results are only read here; the run writes them (sinks/).

    files, parsing      result files, their pieces, JSON lines and CSV
    tables, resampling  blocks of results as pandas tables, runs, durations
    results             read_results, load_results
"""

from fer_edge.analysis.results import Results, load_results, read_results

__all__ = ["Results", "load_results", "read_results"]
