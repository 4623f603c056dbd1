"""The `mesostic` command: which commands there are, and how errors are shown. What they do is in `commands`.

Commands are imported only when they are used. A user's mistake is reported in one paragraph; a bug in Mesostic in one
line that names the file with the traceback (or shows it, with `--debug`).
"""

import importlib
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from typing import NoReturn

import click

from mesostic import __version__, errors
from mesostic.errors import MesosticError, presentable

PATIENCE = 3.0
"""Seconds that threads have to end, when everything else has."""

COMMANDS = {
    "check": "Check a configuration and print its composition.",
    "cluster": "Start the embedded cluster alone, for any framework.",
    "init": "Write a first framework of your own.",
    "run": "Run a framework.",
    "trace": "Read traces: which messages were sent, and why.",
    "uninstall": "Take a framework off its cluster, with all that it has reserved there.",
}


class _Commands(click.Group):
    """A group whose commands are imported when they are called; the list of them needs no import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            from mesostic.config.document import suggestion

            if cmd_name.startswith("-"):
                return None  # an option that click refuses itself
            ctx.fail(f"There is no command {cmd_name!r}{suggestion(cmd_name, COMMANDS)}")
        command: click.Command = importlib.import_module(f"mesostic.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, message="mesostic %(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks of unexpected errors.")
def cli(debug: bool) -> None:
    """Write Apache Mesos frameworks as actors that exchange immutable messages."""


def main() -> NoReturn:
    """The entry point."""
    leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code (see `mesostic.errors`)."""
    try:
        result = cli.main(args=arguments, prog_name="mesostic", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return errors.INTERRUPTED
    except MesosticError as error:
        click.echo(presentable(f"mesostic: {error}"), err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stdout = None  # its reader has seen enough; or the interpreter complains while it flushes
        return errors.OK
    except Exception as error:
        report_bug(error, debug="--debug" in arguments)
        return errors.BUG
    return result if isinstance(result, int) else errors.OK


def report_bug(error: Exception, *, debug: bool) -> None:
    """One line, and the traceback where it can be found (or, with `debug`, here)."""
    what = " ".join(str(error).split())[:300]
    text = presentable(f"mesostic: an unexpected error, a bug: {type(error).__name__}: {what}")
    trace = presentable("".join(traceback.format_exception(error)))
    if debug:
        click.echo(trace + text, err=True)
        return
    handle, file = tempfile.mkstemp(prefix="mesostic-error-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(trace)
    click.echo(f"{text}. The traceback is in {file} (or run it with mesostic --debug).", err=True)


def leave(code: int) -> NoReturn:
    """End the process with this exit code, at the latest after `PATIENCE`.

    Python itself waits for every thread, forever: one function of an author's that never returns (`self.in_thread`,
    `asyncio.to_thread`, a pool of the author's own) would keep a process whose framework has long ended.
    """
    if _left():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the waiting
        threading.Thread(target=_end_anyway, args=(code,), name="the end", daemon=True).start()
    sys.exit(code)


def _left() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]


def _end_anyway(code: int) -> None:
    """Runs beside the interpreter's own end, which joins the threads."""
    time.sleep(PATIENCE)
    try:
        where = "; ".join(map(_doing, _left()))
        told = f"mesostic: ended without waiting for {where or 'what runs at exit'}: it had {PATIENCE:g} s to return\n"
        os.write(2, told.encode(errors="replace"))
    finally:
        os._exit(code)


def _doing(thread: threading.Thread) -> str:
    from actors.runtime import function_in_thread

    function = function_in_thread(thread.ident or 0) or f"the thread {thread.name!r}"
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return function
    return f"{function} (now in {frame.f_code.co_name}, {frame.f_code.co_filename}:{frame.f_lineno})"
