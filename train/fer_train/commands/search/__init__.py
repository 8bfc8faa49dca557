"""The command `fer-train search`: find good training settings with Optuna.

space     the settings that vary, and their ranges
study     the study in its database, and the files that report it
command   the command, which trains once per trial
"""
