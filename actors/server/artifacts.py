"""The code that executors run, as one archive: the same packages give the same bytes, whenever and wherever it is made.

Packages are named by import name (found as Python finds them) or by the path of a package folder or `.py` file. Compiled
files, caches and hidden files stay out; times, owners and modes are fixed, so that a name made of the content's hash is
the same on every run and agents' caches stay good.
"""

import gzip
import hashlib
import importlib.util
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from actors.framework_settings import OWN_PACKAGES

_SKIPPED_SUFFIXES = frozenset({".pyc", ".pyo", ".proto", ".pyi"})


class ArtifactError(Exception):
    """A package cannot be shipped; one sentence that names it."""


class Artifact(NamedTuple):
    """An archive ready to be served."""

    name: str
    data: bytes


def build_artifact(packages: Iterable[str]) -> Artifact:
    """Pack our own packages and these (ArtifactError: one of them is not there)."""
    files: dict[str, Path] = {}
    for package in (*OWN_PACKAGES, *packages):
        files.update(_files_of(package))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            data = files[name].read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 0
            archive.addfile(entry, io.BytesIO(data))
    packed = gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)
    return Artifact(f"code-{hashlib.sha256(packed).hexdigest()[:16]}.tar.gz", packed)


def _files_of(package: str) -> dict[str, Path]:
    path = Path(package) if "/" in package or package.endswith(".py") else _location(package)
    if path.is_file():
        return {path.name: path}
    if path.is_dir():
        return {
            str(Path(path.name) / file.relative_to(path)): file
            for file in sorted(path.rglob("*"))
            if file.is_file() and _wanted(file.relative_to(path))
        }
    raise ArtifactError(f"the package {package} to ship to executors is not there: {path} does not exist")


def _location(package: str) -> Path:
    top = package.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ArtifactError(f"the package {package} to ship to executors cannot be found")
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise ArtifactError(f"the package {package} to ship to executors is not made of Python files")
    return Path(spec.origin)


def _wanted(relative: Path) -> bool:
    if relative.suffix in _SKIPPED_SUFFIXES:
        return False
    return not any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
