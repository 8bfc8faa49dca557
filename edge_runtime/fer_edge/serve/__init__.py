"""What follows a run beside its outputs: the dashboard and REST (web/), metrics, MQTT and actions on label changes.

`connections` opens what the options ask for. Each connection is a sink, so that a slow one loses results instead of
slowing the run. `run_state` holds what they may say about the run, `changes` finds label changes. Their packages are
extras; nothing here is imported unless an option asks for it.
"""
