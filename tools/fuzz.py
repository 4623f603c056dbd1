"""Attack the decoders with bytes that coverage leads further in: `python tools/fuzz.py --seconds 60`.

The seconds are shared by all targets of `tests/support/fuzz_targets.py` (or those named). Each runs in a process of its own with a
limit on memory and on the time of one input. An input that breaks a rule is kept below `build/fuzz/`, is run again
with `--reproduce FILE`, and belongs, once it is fixed, into `tests/fuzz/found/<target>/`. Needs the `fuzz` extra
(atheris); the same rules are tried with Hypothesis by the tests, without it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FINDINGS = ROOT / "build" / "fuzz"
INSTRUMENTED = ["mesos_v1", "mesos_http", "actors.runtime", "mesostic.config"]
MEGABYTES = 1024
SECONDS_PER_INPUT = 10
LONGEST_INPUT = 4096
NO_ATHERIS = (
    "tools/fuzz.py needs atheris: pip install 'mesostic[fuzz]'. The tests try the same rules with Hypothesis."
)


def main() -> int:
    """Fuzz, or reproduce; the exit code is 1 when a rule was broken."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description="Attack the decoders.")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together (default 60)")
    parser.add_argument(
        "--target", action="append", default=[], help="only this one; may be given several times"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at the same time")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0 draws one")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="run the target on one input")
    parser.add_argument("--run", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        return run(arguments.run, arguments.rest)
    from tests.support.fuzz_targets import TARGETS

    names = arguments.target or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    if arguments.reproduce:
        for name in names:
            TARGETS[name](arguments.reproduce.read_bytes())
            print(f"{name}: holds")
        return 0
    try:
        import atheris  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        print(NO_ATHERIS, file=sys.stderr)
        return 2
    return fuzz(names, arguments.seconds, max(1, min(arguments.jobs, len(names))), arguments.seed)


def fuzz(names: list[str], seconds: float, jobs: int, seed: int) -> int:
    """Run each target for its share of the time, `jobs` of them at once."""
    share = max(1.0, seconds * jobs / len(names))
    waiting = list(names)
    running: dict[str, tuple[subprocess.Popen[str], float]] = {}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                running[name] = (start(name, share, Path(folder), seed), time.monotonic() + 3 * share + 60)
            time.sleep(0.05)
            for name, (process, deadline) in list(running.items()):
                if process.poll() is None and time.monotonic() < deadline:
                    continue
                process.kill()
                output = (Path(folder) / f"{name}.log").read_text(errors="replace")
                del running[name]
                if process.wait() == 0:
                    print(f"{name}: {summary(output)}", flush=True)
                else:
                    failed.append(name)
                    print(f"{name}: BROKEN\n{output[-4000:]}", flush=True)
    return 1 if failed else 0


def start(name: str, seconds: float, folder: Path, seed: int) -> subprocess.Popen[str]:
    """Start a target in a process of its own, with its examples as corpus."""
    from tests.support.fuzz_targets import seeds

    corpus = folder / name
    corpus.mkdir()
    found = ROOT / "tests" / "fuzz" / "found" / name
    examples = seeds(name) + [path.read_bytes() for path in sorted(found.glob("*"))]
    for index, example in enumerate(examples):
        (corpus / str(index)).write_bytes(example)
    FINDINGS.mkdir(parents=True, exist_ok=True)
    options = [
        f"-seed={seed}",
        f"-max_total_time={max(1, round(seconds))}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={FINDINGS / name}-",
        "-print_final_stats=1",
        "-verbosity=1",
        str(corpus),
    ]
    with (folder / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, __file__, "--run", name, "--", *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )


def run(name: str, options: list[str]) -> int:
    """Hand a target to libFuzzer, in this process, with the code under attack instrumented."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.support.fuzz_targets import TARGETS

        if name == "config":
            import mesostic.config.compose
            import mesostic.config.document  # noqa: F401
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
    return 0


def summary(output: str) -> str:
    """Pick what was done out of libFuzzer's statistics."""
    statistics = dict(
        line.removeprefix("stat::").split(":", 1) for line in output.splitlines() if line.startswith("stat::")
    )
    executed = statistics.get("number_of_executed_units", "?").strip()
    new = statistics.get("new_units_added", "?").strip()
    memory = statistics.get("peak_rss_mb", "?").strip()
    return f"{executed} inputs tried, {new} led somewhere new, {memory} MB at most"


if __name__ == "__main__":
    sys.exit(main())
