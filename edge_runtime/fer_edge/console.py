"""Shared by the three commands: a main job with subcommands beside it, one-line errors, signals and exit codes."""

import atexit
import contextlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fer_edge.errors import FerError, Interrupted, MissingExtraError, Stopped
from fer_edge.files import json_text
from fer_edge.guards.early_signals import ENDINGS, handled
from fer_edge.guards.names import expand_home
from fer_edge.guards.secrets import redact_text
from fer_edge.guards.shortages import shortage
from fer_edge.guards.signals import claim_last_line, second_came, second_signal_ends
from fer_edge.guards.text import printable

if TYPE_CHECKING:
    from pathlib import Path

CLEAR_LINE = "\r\x1b[K"  # erases a status line on a terminal
LOADING_AFTER_S = 1.0  # a longer silence looks like a hang


class LogFormatter(logging.Formatter):
    """Formats log messages as single printable lines: names come from strangers, addresses may hold secrets."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(redact_text(record.message))
        return super().formatMessage(record)


def echo_line(*cells: str, err: bool = False) -> None:
    """Print text that may hold names from strangers as one printable line; several cells get tabs between them."""
    click.echo("\t".join(map(printable, cells)), err=err)


def echo_lines(text: str, err: bool = False) -> None:
    """Print a table or the like, whose lines may hold names from strangers, with each line made printable.

    A name with a line break in it would still become two lines: names that may have one go to `echo_line`.
    """
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def echo_json(value: Any) -> None:
    """Print `value` as JSON, in which names from strangers are escaped; ValueError for NaN and infinity."""
    click.echo(json_text(value), nl=False)


class _StdoutClosed(BaseException):
    """BrokenPipeError under a name that click does not turn into exit code 1."""


class MainCommand(click.Command):
    """A command that runs its main job, or a subcommand if the first argument names one.

    click's own Group would take the first positional argument of the main job for a subcommand's name.

    defaults: returns values for options of the main job that the command line leaves out, by option name with
    underscores ("detect_size" for --detect-size). version_details: returns lines for --version, below the version.
    alike: what to suggest for words that are neither a file, a subcommand nor an option.

    `COMMAND help` and `COMMAND help SUBCOMMAND` are the same as --help.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subcommands: dict[str, click.Command] = {}
        self.defaults: Callable[[], Mapping[str, Any]] = dict
        self.version_details: Callable[[], Sequence[str]] = tuple
        self.alike: dict[str, str] = {}
        self.params.append(
            click.Option(
                ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=self._show_version,
                help="Show the version and exit.",
            )
        )  # fmt: skip

    def _show_version(self, ctx: click.Context, _param: click.Parameter, requested: bool) -> None:
        if requested:
            from fer_edge.system import package_version

            for line in (f"{ctx.info_name} {package_version()}", *self.version_details()):
                click.echo(line)
            ctx.exit()

    def add_command(self, command: click.Command) -> None:
        """Add `command` as a subcommand under its own name."""
        assert command.name is not None
        self.subcommands[command.name] = command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["help"] and not os.path.exists("help"):  # noqa: PTH110 - pathlib takes 10 ms to import
            args = [*args[1:2], "--help"]
        args = list(map(expand_home, args))
        try:
            if args and args[0] in self.subcommands:
                return self.subcommands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
            if not {"--help", "--version"}.intersection(args):  # these work even if the defaults are broken
                extra["default_map"] = self._default_map()
            if args:
                self.check_word(args[0])
            return super().make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            _suggest_shown_names(error)
            raise

    def check_word(self, word: str) -> None:
        """Raise click.UsageError if `word`, given as a file, is none and looks like a subcommand or an option."""
        if not word.replace("-", "").isalpha() or word.startswith("-") or os.path.lexists(word):
            return
        if word in self.subcommands:
            raise click.UsageError(f"{word} is a command and comes first, before all options")
        import difflib  # takes 3 ms to import

        meant = {name: name for name in self.subcommands}
        for param in self.params:
            if isinstance(param, click.Option) and not param.hidden:
                flag = param.opts[0]
                meant[flag.lstrip("-")] = flag
                if isinstance(param.type, click.Choice):
                    meant |= {value: f"{flag} {value}" for value in param.type.choices}
        meant |= self.alike
        close = difflib.get_close_matches(word, meant, n=1, cutoff=0.75)
        if close:
            raise click.UsageError(f"{word} is neither a file nor a command: did you mean {meant[close[0]]}?")

    def _default_map(self) -> dict[str, Any]:
        """`defaults` by parameter name, as click expects them."""
        parameters = {flag.lstrip("-").replace("-", "_"): param.name for param in self.params for flag in param.opts}
        return {str(parameters.get(name, name)): value for name, value in self.defaults().items()}

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error  # click would print an empty line for a KeyboardInterrupt
        except BrokenPipeError as error:
            raise _StdoutClosed from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        if self.subcommands:
            with formatter.section("Commands"):
                formatter.write_dl(
                    [(name, command.get_short_help_str(200)) for name, command in self.subcommands.items()]
                )


class RenamedOption(click.Option):
    """An option that also accepts its former names, which `--help` and error messages do not show.

    @click.option("--color", cls=RenamedOption, former=["--colour"])
    """

    def __init__(self, *args: Any, former: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.former = list(former)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Register the shown names and the former ones."""
        shown = self.opts
        self.opts = [*shown, *self.former]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


def _suggest_shown_names(error: click.NoSuchOption) -> None:
    """Replace former names of options, which are hidden, among the suggestions of `error`."""
    params = error.ctx.command.params if error.ctx is not None else []
    shown = {old: param.opts[0] for param in params if isinstance(param, RenamedOption) for old in param.former}
    suggestions = error.possibilities or []
    suggestions[:] = dict.fromkeys(shown.get(name, name) for name in suggestions)


@contextlib.contextmanager
def loading(what: Callable[[], str]) -> Iterator[None]:
    """Print "loading ..." on a terminal if the block, which imports modules, takes more than a second.

    what: called after that second; names what is loading.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def announce() -> None:
        if not done.wait(LOADING_AFTER_S):
            click.echo(f"loading {what()} ...", nl=False, err=True)
            done.wait()
            click.echo(CLEAR_LINE, nl=False, err=True)

    thread = threading.Thread(target=announce, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def extra_required(command: str, extra: str) -> Iterator[None]:
    """Turn a failed import of another distribution's module into MissingExtraError; see also `loading`."""
    try:
        with loading(lambda: "PyTorch" if "torch" in sys.modules else "packages"):
            yield
    except ModuleNotFoundError as error:
        module = (error.name or "?").partition(".")[0]
        if module.startswith("fer_"):
            raise
        raise MissingExtraError(command, extra, module) from error


def hold_output(path: "Path") -> None:
    """Lock an output, a file or folder, until the command ends; OutputError if another process writes it.

    Outside of a command, nothing is locked. A folder whose parent is missing is locked by a later call.
    """
    context = click.get_current_context(silent=True)
    if context is None or not path.parent.is_dir():
        return
    from fer_edge.guards.locks import OutputLock

    held: dict[str, OutputLock] = context.meta.setdefault("fer_edge.outputs", {})
    if (real := os.path.realpath(path)) not in held:
        held[real] = OutputLock(path)
        context.find_root().call_on_close(held[real].release)


@contextlib.contextmanager
def option_named(option: str, path: object) -> Iterator[None]:
    """Put `option` in front of a FerError that starts with the file `path`, which that option gives."""
    try:
        yield
    except FerError as error:
        if path is None or not str(error).startswith(str(path)):
            raise
        raise type(error)(f"{option} {error}") from error


def run_main(command: click.Command, prog_name: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Run `command` and exit with the documented code; every error becomes one line on stderr."""

    def job() -> object:
        return command.main(argv, prog_name=prog_name, standalone_mode=False)

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise ENDINGS[number]

    reserve_standard_streams()
    _take_every_text()
    for number in handled():
        if number != signal.SIGINT:  # Python's own handler raises KeyboardInterrupt
            signal.signal(number, end)
    atexit.register(_ignore_signals)
    with second_signal_ends(prog_name):
        _exit(_exit_code(job, prog_name))


def _take_every_text() -> None:
    """Let stdout and stderr take text beyond their encoding, as escapes, and libraries' warnings be one line each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(LogFormatter("%(message)s"))


def reserve_standard_streams() -> None:
    """Point closed standard streams to /dev/null: a file that we open must not get their number.

    A library's message to stderr would land in that file. Python has set its own objects for them to None before; its
    stderr becomes the null device, too, stdout stays None, so that results are not lost in silence.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    if sys.stderr is None:  # progress bars of other packages write to it without asking
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the process ends


def _ignore_signals() -> None:
    # Python shuts down and the exit code is decided.
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


_skip_shutdown = threading.Event()


def skip_interpreter_shutdown() -> None:
    """Make `run_main` end the process without Python's shutdown, in which some libraries' threads abort it."""
    _skip_shutdown.set()


def _exit(code: int) -> NoReturn:
    """Exit; without Python's shutdown if one of our threads is still in C code, where it would abort the process.

    PyTorch's shutdown takes seconds, which a second signal skips, too.
    """
    in_c = any(thread.name.startswith("fer-") for thread in threading.enumerate())
    if in_c or _skip_shutdown.is_set() or second_came.is_set():
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    # After a KeyboardInterrupt inside `exec`, which dataclasses use, `python -m` would end by SIGINT. This resets that.
    exec("")
    sys.exit(code)


def _exit_code(job: Callable[[], object], prog_name: str) -> int:
    try:
        result = job()
        if sys.stdout is not None:  # None: our parent closed it
            sys.stdout.flush()
    except click.ClickException as error:
        return _fail(prog_name, error.format_message(), error.exit_code)
    except FerError as error:
        return _fail(prog_name, str(error), error.exit_code)
    except (BrokenPipeError, _StdoutClosed):
        # The reader of our stdout or stderr has left, which is no error. Python would complain about it again at exit.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        return _stop(prog_name, Interrupted())
    except Exception as error:
        if (cause := shortage(error)) is not None:
            return _fail(prog_name, cause, FerError.exit_code)
        if (cause := _broken_package(error)) is not None:
            return _fail(prog_name, cause, FerError.exit_code)
        if not isinstance(error, OSError):
            raise
        # A system error that no code expected, such as a folder that we may not list.
        return _fail(prog_name, _system_error(error), FerError.exit_code)
    except Stopped as stopped:
        return _stop(prog_name, stopped)
    return result if isinstance(result, int) else 0


def _broken_package(error: BaseException | None) -> str | None:
    """A sentence if a package can't be imported, such as numpy after an upgrade that was cut short; None otherwise."""
    while isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if package and not package.startswith("fer_") and package not in sys.stdlib_module_names:
            return f"{package} can't be loaded ({error}): pip install --force-reinstall {package}"
        error = error.__cause__ or error.__context__
    return None


def _system_error(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename:
        return f"{error.filename}: {reason}"
    try:
        os.getcwd()  # noqa: PTH109 - pathlib takes 10 ms to import
    except OSError:
        return "the current folder does not exist any more: change to another one"
    return reason


def _stop(prog_name: str, stopped: Stopped) -> int:
    return _fail(prog_name, stopped.word, stopped.exit_code) if claim_last_line() else stopped.exit_code


def _fail(prog_name: str, message: str, code: int) -> int:
    click.echo(f"{prog_name}: {printable(redact_text(' '.join(message.split())))}", err=True)
    return code
