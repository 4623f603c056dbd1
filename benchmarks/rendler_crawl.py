"""How fast RENDLER crawls a real site: pages a second end to end, memory of the scheduler, time to the first running task.

Needs Debian's package python3.11-doc (530 pages), or any folder with an index.html as argument. Says so where there is none.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

from actors.runtime import read_trace
from examples.rendler.site_server import SiteServer

ROOT = Path(__file__).parents[1]
DOCS = Path("/usr/share/doc/python3.11/html")


async def crawl(folder: Path, output: Path, *, trace: bool) -> None:
    async with SiteServer(folder, misbehave=False) as site:
        command = [sys.executable, "-m", "mesostic", "run", str(ROOT / "examples/rendler/rendler.toml")]
        command += ["--set", f"scheduler.seed={site.url}index.html", "--set", "scheduler.render=false"]
        command += ["--set", f"scheduler.output={output}"]
        if trace:
            command += ["--trace", str(output / "trace")]
        started, peak = time.time(), 0
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(process.communicate())
            while not reading.done():
                try:
                    peak = max(peak, psutil.Process(process.pid).memory_info().rss)
                except psutil.Error:
                    break
                await asyncio.sleep(0.05)
        text = reading.result()[0].decode()
    if process.returncode:
        sys.exit(f"the crawl failed:\n{text}")
    found = re.search(r"^(\S+ pages in .*? a second\))", text, re.MULTILINE)
    print(
        f"{found[1] if found else '?'}, scheduler at most {peak / 1e6:.0f} MB{', with a trace' if trace else ''}"
    )
    if trace:
        first = next(
            r.time for r in read_trace(output / "trace") if r.payload and b"TASK_RUNNING" in r.payload
        )
        print(f"first task running {first - started:.2f} s after the command was typed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS)
    folder = parser.parse_args().folder
    if not (folder / "index.html").is_file():
        print(
            f"there is no {folder}/index.html: install Debian's package python3.11-doc, or name another folder"
        )
        return
    with tempfile.TemporaryDirectory() as output:
        for trace in (False, True):
            asyncio.run(crawl(folder, Path(output), trace=trace))


if __name__ == "__main__":
    main()
