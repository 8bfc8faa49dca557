"""What the report and the README show first.

figures (of fer-edge, from the results of all benchmarks), recognizers (ours beside other people's, a row each) and
published (what their authors say, where it was not measured here). Works on results files; measures nothing.
"""
