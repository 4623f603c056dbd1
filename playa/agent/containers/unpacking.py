"""Writing into a sandbox what came from elsewhere: nothing of it lands outside, whatever an archive says.

By construction: a `Folder` makes files, folders and links below one folder and reaches each of them step by step from that
folder's descriptor, without ever following a symbolic link. So absolute names, `..`, links that an archive made before, and hard
links to what is not in the folder have no way out. Links may point wherever they want: they are made, and never used.

What is unpacked is bounded in bytes and in entries, has no setuid, setgid or sticky bit, is no device, and belongs to the folder's
owner, who else would not be able to change it.
"""

import bz2
import errno
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

MOST_ENTRIES: Final = 200_000
MOST_BYTES: Final = 16 << 30
FREE_BYTES: Final = 1 << 30
MOST_RATIO: Final = 200
_MOST_AT_ONCE: Final = 64 << 20
_CHUNK: Final = 1 << 18
_MODE: Final = 0o755
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

TAR_NAMES: Final = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


class UnpackError(Exception):
    """What is to be unpacked cannot be, or may not be; a phrase that says why."""


class Folder:
    """A folder in which files are made, and nothing outside of it. Use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self._owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None

    def __enter__(self) -> "Folder":
        """The folder itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        os.close(self._fd)

    def create(self, name: str, mode: int = 0o644) -> IO[bytes]:
        """A new file to write to; what had its name before is gone."""
        with self._parent(name) as (fd, base):
            self._remove(fd, base, name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(base, flags, 0o600, dir_fd=fd)
        self._own(file)
        os.fchmod(file, mode & _MODE)
        return os.fdopen(file, "wb")

    def open(self, name: str) -> IO[bytes]:
        """A file of the folder, to be read."""
        with self._parent(name) as (fd, base):
            return os.fdopen(os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd), "rb")

    def make(self, name: str, mode: int = 0o755) -> None:
        """A folder, if it is not there."""
        if parts := _parts(name):
            fd = self._descend(parts, name)
            try:
                os.fchmod(fd, (mode & _MODE) | 0o700)
            finally:
                os.close(fd)

    def symlink(self, name: str, target: str) -> None:
        """A symbolic link. Nothing is ever written through it."""
        with self._parent(name) as (fd, base):
            self._remove(fd, base, name)
            os.symlink(target, base, dir_fd=fd)
            if self._owner is not None:
                os.chown(base, *self._owner, dir_fd=fd, follow_symlinks=False)

    def link(self, name: str, target: str) -> None:
        """A hard link to a file of the folder."""
        with self._parent(target) as (source, source_base):
            what = f"the hard link {_shown(name)} is to {_shown(target)}"
            try:
                found = os.stat(source_base, dir_fd=source, follow_symlinks=False)
            except FileNotFoundError:
                raise UnpackError(f"{what}, which is not there") from None
            if not stat.S_ISREG(found.st_mode):
                raise UnpackError(f"{what}, which is not a file")
            with self._parent(name) as (fd, base):
                self._remove(fd, base, name)
                os.link(source_base, base, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)

    @contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """The folder of an entry, open, and the entry's own name."""
        parts = _parts(name)
        if not parts:
            raise UnpackError(f"{_shown(name)} is not the name of a file")
        fd = self._descend(parts[:-1], name)
        try:
            yield fd, parts[-1]
        finally:
            os.close(fd)

    def _descend(self, parts: list[str], name: str) -> int:
        fd = os.dup(self._fd)
        for part in parts:
            try:
                try:
                    inner = os.open(part, _FOLDER, dir_fd=fd)
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=fd)
                    inner = os.open(part, _FOLDER, dir_fd=fd)
                    self._own(inner)
            except OSError as error:
                if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                    raise UnpackError(
                        f"{_shown(name)} leads through {_shown(part)}, which is not a folder"
                    ) from None
                raise
            finally:
                os.close(fd)
            fd = inner
        return fd

    def _own(self, fd: int) -> None:
        if self._owner is not None:
            os.fchown(fd, *self._owner)

    @staticmethod
    def _remove(fd: int, base: str, name: str) -> None:
        try:
            os.unlink(base, dir_fd=fd)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError) as error:
            raise UnpackError(f"{_shown(name)} is a folder already") from error


def _parts(name: str) -> list[str]:
    """The steps from a folder to something in it; a leading slash is dropped, as by tar.

    Raises:
        UnpackError: It leads out.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise UnpackError(f"{_shown(name)} would land outside of the sandbox")
    return parts


def _shown(name: str) -> str:
    return ascii(name if len(name) < 200 else name[:200] + "…")


class _Budget:
    """How much may still be unpacked."""

    def __init__(self, archive_size: int) -> None:
        self.bytes = min(MOST_BYTES, max(FREE_BYTES, archive_size * MOST_RATIO))
        self._left, self._entries = self.bytes, MOST_ENTRIES

    def entry(self) -> None:
        self._entries -= 1
        if self._entries < 0:
            raise UnpackError(f"the archive has more than {MOST_ENTRIES} entries")

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise UnpackError(f"unpacked, the archive has more than {self.bytes} bytes")

    def copy(self, source: IO[bytes], out: IO[bytes]) -> None:
        while data := source.read(_CHUNK):
            self.take(len(data))
            out.write(data)


class _Bounded:
    """A decompressed archive of which only so much is read: headers and what is skipped count, too."""

    def __init__(self, file: Any, budget: _Budget) -> None:
        self._file, self._most = file, budget.bytes + (1 << 30)

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= _MOST_AT_ONCE:
            raise UnpackError("the archive has a header that is too long")
        data: bytes = self._file.read(count)
        self._check(self._file.tell())
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == 0:
            self._check(position)
        return int(self._file.seek(position, whence))

    def _check(self, position: int) -> None:
        if position > self._most:
            raise UnpackError("the archive has more bytes than may be unpacked")

    def tell(self) -> int:
        return int(self._file.tell())


def unpack(name: str, folder: Folder) -> None:
    """Unpack an archive of a folder into the folder itself. Blocks.

    Raises:
        UnpackError, OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, …: It cannot be read, or holds
            what may not be unpacked.
    """
    with folder.open(name) as file:
        budget = _Budget(os.fstat(file.fileno()).st_size)
        if name.endswith(TAR_NAMES):
            with (
                _decompressed(file) as plain,
                tarfile.open(fileobj=cast("IO[bytes]", _Bounded(plain, budget)), mode="r:") as tar,
            ):
                _untar(tar, folder, budget)
        elif name.endswith(".zip"):
            with zipfile.ZipFile(file) as packed:
                _unzip(packed, folder, budget)
        elif name.endswith(".gz"):
            with gzip.open(file) as source, folder.create(name.removesuffix(".gz")) as out:
                budget.copy(cast("IO[bytes]", source), out)


def _decompressed(file: IO[bytes]) -> Any:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(file)
    if magic.startswith(b"BZh"):
        return bz2.open(file)
    return lzma.open(file) if magic == b"\xfd7zXZ\0" else file


def _untar(tar: tarfile.TarFile, folder: Folder, budget: _Budget) -> None:
    for member in tar:
        budget.entry()
        if member.isdir():
            folder.make(member.name, member.mode)
        elif member.issym():
            folder.symlink(member.name, member.linkname)
        elif member.islnk():
            folder.link(member.name, member.linkname)
        elif member.isreg():
            source = tar.extractfile(member)
            assert source is not None
            with source, folder.create(member.name, member.mode) as out:
                budget.copy(source, out)
        else:
            raise UnpackError(f"{_shown(member.name)} is a device or a pipe")
        cast("Any", tar).members = []  # else it keeps every header until the end


def _unzip(packed: zipfile.ZipFile, folder: Folder, budget: _Budget) -> None:
    for member in packed.infolist():
        budget.entry()
        mode = (member.external_attr >> 16) & 0o777
        if member.is_dir():
            folder.make(member.filename, mode or 0o755)
        else:
            with packed.open(member) as source, folder.create(member.filename, mode or 0o644) as out:
                budget.copy(source, out)
