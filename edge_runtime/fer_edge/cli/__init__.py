"""The command `fer-edge` and its subcommands.

`commands`, `options` and `parameters` define the command line and import nothing heavy. `run` opens what the main job
needs; `job` is the run, with its `outputs` and their paths, `status` line, `report` and `systemd` notifications;
`source_run` is one source of it. subcommands/ holds doctor, tune, analyze and serve. Code that also serves the Python
API lives outside this folder.
"""
