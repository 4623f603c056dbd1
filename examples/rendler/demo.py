"""The demo: serves the example's own site on loopback, crawls and renders it on the built-in cluster, says what to look at.

    python -m examples.rendler.demo [--output results/demo] [further options of `mesostic run`]

It needs no network, and no Chromium either: where there is none, it crawls without pictures and says so.
"""

import argparse
import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from examples.rendler.site_server import SiteServer

CONFIG = Path(__file__).parent / "demo.toml"
TRACE = "rendler.trace"


async def run(output: Path, options: Sequence[str]) -> int:
    """Runs the demo; returns the exit code of `mesostic run`."""
    trace = output / TRACE
    # Ctrl-C reaches the framework too, which ends in order; we wait for it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    async with SiteServer() as server:
        command = [sys.executable, "-m", "mesostic", "run", str(CONFIG), "--trace", str(trace)]
        command += ["--set", f"scheduler.seed={server.url}index.html", "--set", f"scheduler.output={output}"]
        process = await asyncio.create_subprocess_exec(*command, *options)
        exit_code = await process.wait()
    if exit_code == 0:
        print("\nLook at the crawl, in a browser:")
        print(f"  file://{(output / 'index.html').resolve()}")
        print("Read the story of one page, every message in order of cause:")
        print(f"  {_mesostic()} trace show {_relative(trace)} --contains about.html")
        print("Crawl another site:")
        print(f"  {_mesostic()} run examples/rendler/rendler.toml --set scheduler.seed=https://example.org/")
    return exit_code


def _mesostic() -> str:
    """How the command is typed here: by its name, or by its path where the shell would not find it."""
    beside = Path(sys.executable).with_name("mesostic")
    return "mesostic" if shutil.which("mesostic") or not beside.exists() else str(_relative(beside))


def _relative(path: Path) -> Path:
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Crawl and render the demo site.")
    where = "folder for the results and the trace"
    parser.add_argument("--output", type=Path, default=Path("results/demo"), help=where)
    arguments, options = parser.parse_known_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    trace = arguments.output / TRACE
    trace.unlink(missing_ok=True)
    shutil.rmtree(f"{trace}.executors", ignore_errors=True)
    sys.exit(asyncio.run(run(arguments.output, options)))


if __name__ == "__main__":
    main()
