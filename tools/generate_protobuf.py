"""Generate the Python code of the Mesos V1 API from `mesos_v1/protos`, or check that it is up to date.

The generated modules are kept in the repository, so that users need no compiler; `--check` fails when they are
not what the `.proto` files say. Needs the `dev` extra (grpcio-tools, mypy-protobuf).

Protoc lays modules out as the `.proto` files lie (`mesos/v1/scheduler/scheduler_pb2.py`). Ours are flattened into
the one package `mesos_v1.generated`, and their imports rewritten, so that nothing lands in a top-level package
`mesos` that another distribution may own.
"""

import argparse
import difflib
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "mesos_v1" / "protos"
GENERATED = ROOT / "mesos_v1" / "generated"
PACKAGE = "mesos_v1.generated"
CHARTER = '''"""Code that protoc generated from `mesos_v1/protos`: never edited by hand, read through `mesos_v1.pb`.

To change it, edit the `.proto` files and run `python tools/generate_protobuf.py`.
"""
'''

PLAIN_IMPORT = re.compile(
    r"^(?P<indent>\s*)from (?P<package>mesos\.v1(?:\.\w+)*) import (?P<module>\w+_pb2)", re.MULTILINE
)
STUB_IMPORT = re.compile(r"^import (?P<package>mesos\.v1(?:\.\w+)*)\.(?P<module>\w+_pb2)\b", re.MULTILINE)
STUB_FROM_IMPORT = re.compile(r"^from mesos\.v1(?:\.\w+)*\.(?P<module>\w+_pb2) import", re.MULTILINE)


def compile_protos(target: Path) -> None:
    """Run protoc over all `.proto` files, with its output below `target`."""
    from grpc_tools import protoc

    with resources.as_file(resources.files("grpc_tools") / "_proto") as well_known:
        arguments = [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={well_known}",
            f"--plugin=protoc-gen-mypy={Path(sys.executable).parent / 'protoc-gen-mypy'}",
            f"--python_out={target}",
            f"--mypy_out=quiet:{target}",
            *sorted(str(path) for path in PROTOS.rglob("*.proto")),
        ]
        if protoc.main(arguments):
            raise SystemExit("protoc failed")


def flatten(text: str) -> str:
    """Rewrite imports of `mesos.v1…` modules to the flat package."""
    text = PLAIN_IMPORT.sub(rf"\g<indent>from {PACKAGE} import \g<module>", text)
    text = STUB_FROM_IMPORT.sub(rf"from {PACKAGE}.\g<module> import", text)
    return STUB_IMPORT.sub(rf"from {PACKAGE} import \g<module>", text)


def generate() -> dict[str, str]:
    """Return the text of each generated file by its name."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        compile_protos(target)
        files = {path.name: flatten(path.read_text()) for path in sorted(target.rglob("*_pb2.py*"))}
    files["__init__.py"] = CHARTER
    return files


def drift(files: dict[str, str]) -> list[str]:
    """Say, file by file, where the repository differs from `files`."""
    present = {path.name: path.read_text() for path in GENERATED.glob("*.py*") if path.is_file()}
    return [
        "".join(
            difflib.unified_diff(
                present.get(name, "").splitlines(keepends=True),
                files.get(name, "").splitlines(keepends=True),
                f"kept/{name}",
                f"generated/{name}",
                n=1,
            )
        )
        for name in sorted(present.keys() | files.keys())
        if present.get(name) != files.get(name)
    ]


def main() -> int:
    """Generate or check; the exit code is 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(description="Generate the code of the Mesos V1 API.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the kept code is out of date"
    )
    check: bool = parser.parse_args().check
    files = generate()
    if check:
        differences = drift(files)
        for difference in differences:
            print(difference[:2000])
        if differences:
            print(
                f"{len(differences)} generated files are out of date: run python tools/generate_protobuf.py"
            )
        return 1 if differences else 0
    GENERATED.mkdir(exist_ok=True)
    for path in GENERATED.glob("*.py*"):
        path.unlink()
    for name, text in files.items():
        (GENERATED / name).write_text(text)
    print(f"{len(files)} files in {GENERATED.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
