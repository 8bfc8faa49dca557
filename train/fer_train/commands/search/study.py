"""A search's study: open it, new or continued, and write what it found."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.console import echo_line
from fer_edge.errors import FerError
from fer_edge.files import write_json
from fer_edge.guards.names import utf8_name
from fer_edge.guards.text import command_line
from fer_train.commands.search.space import Range
from fer_train.tables import save_csv

if TYPE_CHECKING:
    import optuna
    import pandas as pd

COMMAND = "command"  # a trial's attribute: the words that train it again
FACES = "faces"  # a study's attribute: the hash of what it trains on


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file; FerError for a name that SQLAlchemy's URLs would take for another one."""
    if utf8_name(path) != str(path) or not {"?", "%"}.isdisjoint(str(path)):
        raise FerError(f"{path} can't hold a study: name an --out of UTF-8 without ? and %, or give --storage")
    return f"sqlite:///{path}"


@contextlib.contextmanager
def open_study(storage: str, name: str, seed: int) -> "Iterator[optuna.Study]":
    """The study, new or continued; its database is closed after the block."""
    import optuna
    import sqlalchemy.exc

    with contextlib.ExitStack() as stack:
        try:
            rdb = optuna.storages.RDBStorage(storage)
            stack.callback(rdb.engine.dispose)
            stack.callback(rdb.remove_session)
            exists = name in optuna.get_all_study_names(rdb)
            done = len(optuna.load_study(study_name=name, storage=rdb).trials) if exists else 0
            study = optuna.create_study(
                storage=rdb, study_name=name, load_if_exists=True, direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=seed + done),  # a continued study must not repeat its trials
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
            )  # fmt: skip
        except (
            sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError,
        ) as error:  # fmt: skip
            reason = str(error).splitlines()[0]
            raise FerError(
                f"--storage {storage} can't be used ({reason}): give a URL such as sqlite:///study.db"
            ) from error
        yield study


def check_continued(study: "optuna.Study", space: Sequence[Range], faces: str) -> None:
    """FerError if the study was begun on other faces, or with a range of another kind, which Optuna can't continue.

    faces: TrainingSet.fingerprint.
    """
    import optuna

    what = f"the study {study.study_name} was begun"
    advice = "give the same, or another --study or --out"
    if study.user_attrs.get(FACES, faces) != faces:
        raise FerError(f"{what} on other faces: {advice}")
    study.set_user_attr(FACES, faces)
    known = {name: kind for trial in study.get_trials(deepcopy=False) for name, kind in trial.distributions.items()}
    for item in space:
        if item.name not in known:
            continue
        trial = optuna.trial.FixedTrial({item.name: item.choices[0] if item.choices else item.low})
        item.suggest(trial)
        try:
            optuna.distributions.check_distribution_compatibility(known[item.name], trial.distributions[item.name])
        except ValueError as error:
            raise FerError(f"{what} with --tune {_range_of(item.name, known[item.name])}: {advice}") from error


def _range_of(name: str, kind: Any) -> Range:
    """The range of an Optuna distribution."""
    if hasattr(kind, "choices"):
        return Range(name, choices=tuple(map(str, kind.choices)))
    return Range(name, kind.low, kind.high, kind.log)


def write_results(study: "optuna.Study", out: Path, score: str) -> None:
    """Write trials.csv and best.json, and print the command that trains with the best settings. score: in words."""
    import optuna

    trials = study.get_trials(deepcopy=False)
    save_csv(_trials_table(trials), out / "trials.csv")
    if not study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]):
        return
    best = study.best_trial
    command = best.user_attrs.get(COMMAND)
    found = {"trial": best.number, "accuracy": best.value, "settings": best.params}
    write_json(out / "best.json", found | ({"command": command} if command else {}))
    text = f"Best of {len(trials)} trials: number {best.number}, {score} {best.value:.2%}"
    echo_line(f"{text}. This trains it again:" if command else text, err=True)
    if command:
        echo_line(f"  {command_line(command)}", err=True)


def _trials_table(trials: "list[optuna.trial.FrozenTrial]") -> "pd.DataFrame":
    """Return a row per trial: number, state, best accuracy, epochs, and a column per setting."""
    import pandas as pd

    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "accuracy": max(trial.intermediate_values.values(), default=None),
            "epochs": len(trial.intermediate_values),
        }
        for trial in trials
    ]
    settings = pd.DataFrame([trial.params for trial in trials], dtype=object).sort_index(axis="columns")
    return pd.concat([pd.DataFrame(rows, columns=["trial", "state", "accuracy", "epochs"]), settings], axis="columns")
