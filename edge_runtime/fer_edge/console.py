"""What the three commands share: a main job with subcommands beside it, one-line errors, exit codes."""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from fer_edge.errors import FerError, MissingExtraError

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_TERMINATED = 143  # 128 + SIGTERM
CLEAR_LINE = "\r\x1b[K"  # takes a status line away, on a terminal


class Terminated(BaseException):
    """SIGTERM arrived: unwinds like KeyboardInterrupt, so that `finally` blocks run."""


class Interrupted(BaseException):
    """KeyboardInterrupt by a name for which click does not print an empty line."""


class Unread(BaseException):
    """BrokenPipeError by a name for which click does not exit with 1."""


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Hold back one SIGINT or SIGTERM until the block is done; the second is for those who can't wait."""
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        restore()
        held.append(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()
    for number in held:
        signal.raise_signal(number)


class MainCommand(click.Command):
    """A command that runs its main job, or a subcommand when the first argument names one.

    click's own Group would take the first positional argument of the main job for a subcommand's name.

    defaults: gives values by parameter name for options of the main job that the command line leaves out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subcommands: dict[str, click.Command] = {}
        self.defaults: Callable[[], Mapping[str, Any]] = dict
        self.params.append(
            click.Option(
                ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_show_version,
                help="Show the version and exit.",
            )
        )  # fmt: skip

    def add_command(self, command: click.Command) -> None:
        """Put `command` beside the main job, under its own name."""
        assert command.name is not None
        self.subcommands[command.name] = command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.subcommands:
            return self.subcommands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        if not {"--help", "--version"}.intersection(args):  # which say what they say also when the defaults are broken
            extra["default_map"] = dict(self.defaults())
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error
        except BrokenPipeError as error:
            raise Unread from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        if self.subcommands:
            with formatter.section("Commands"):
                formatter.write_dl(
                    [(name, command.get_short_help_str(70)) for name, command in self.subcommands.items()]
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


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"{ctx.info_name} {package_version()}")
        ctx.exit()


def package_version() -> str:
    """The version of the installed distribution."""
    import importlib.metadata  # 30 ms, and most runs don't ask

    try:
        return importlib.metadata.version("fer-edge")
    except importlib.metadata.PackageNotFoundError:  # a source tree on PYTHONPATH
        return "unknown"


@contextlib.contextmanager
def extra_required(command: str, extra: str) -> Iterator[None]:
    """Turn a failed import of another distribution's module into MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "?").partition(".")[0]
        if module.startswith("fer_"):
            raise
        raise MissingExtraError(command, extra, module) from error


def run_main(command: click.Command, prog_name: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Run `command` and exit with the documented code; every error becomes one line on stderr."""

    def job() -> object:
        return command.main(argv, prog_name=prog_name, standalone_mode=False)

    def on_sigterm(_signum: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, on_sigterm)
    atexit.register(_ignore_signals)
    _leave(_exit_code(job, prog_name))


def _ignore_signals() -> None:
    # Python is shutting down and the exit code stands.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


_abrupt = threading.Event()


def leave_abruptly() -> None:
    """Let `run_main` end past Python's own shutdown, amid which some library's threads would crash the process."""
    _abrupt.set()


def _leave(code: int) -> NoReturn:
    """Exit; past Python's own shutdown if a thread of ours is still in C code, where that would abort the process."""
    if _abrupt.is_set() or any(thread.name.startswith("fer-") for thread in threading.enumerate()):
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _exit_code(job: Callable[[], object], prog_name: str) -> int:
    try:
        result = job()
        if sys.stdout is not None:  # None: closed by whoever started us
            sys.stdout.flush()
    except click.ClickException as error:
        return _fail(prog_name, error.format_message(), error.exit_code)
    except FerError as error:
        return _fail(prog_name, str(error), error.exit_code)
    except (BrokenPipeError, Unread):
        # The reader of our stdout or stderr has had enough: that is no error. Python would complain again at exit.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 0
    except OSError as error:
        # Of the system's refusals that nobody foresaw, such as no permission to look into a folder.
        reason = error.strerror or str(error)
        return _fail(prog_name, f"{error.filename}: {reason}" if error.filename else reason, FerError.exit_code)
    except (Interrupted, KeyboardInterrupt, click.Abort):
        return _fail(prog_name, "interrupted", EXIT_INTERRUPTED)
    except Terminated:
        return _fail(prog_name, "terminated", EXIT_TERMINATED)
    return result if isinstance(result, int) else 0


def _fail(prog_name: str, message: str, code: int) -> int:
    click.echo(f"{prog_name}: {' '.join(message.split())}", err=True)
    return code
