"""The fetcher: brings a command's URIs into its sandbox before the command starts.

Plain paths, `file://`, `http://` and `https://` (Mesos documentation, "Fetcher"). The `cache` flag is accepted and means nothing
here: everything is fetched again. Other schemes (hdfs, s3, ftp) are refused as by an agent that has no Hadoop client.

Nothing that is fetched or unpacked lands outside of the sandbox, by construction: a `Folder` makes files, folders and links below
one folder and reaches each of them step by step from that folder's descriptor, without ever following a symbolic link. Links may
point wherever they want: they are made, and never used. What is unpacked is bounded in bytes and in entries, has no setuid, setgid
or sticky bit, is not a device, and belongs to the folder's owner, who else would not be able to change it.
"""

import bz2
import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast
from urllib.parse import unquote

import aiohttp

from mesos_v1 import pb
from playa.agent.containers.sandbox import inside

STALL_TIMEOUT: Final = 60.0
MOST_ENTRIES: Final = 200_000
MOST_BYTES: Final = 16 << 30
FREE_BYTES: Final = 1 << 30
MOST_RATIO: Final = 200
_MOST_AT_ONCE: Final = 64 << 20
_CHUNK: Final = 1 << 18
_COPY_INLINE: Final = 4 << 20
_MODE: Final = 0o755
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NET: Final = ("http://", "https://")
_TAR_NAMES: Final = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


class FetchFailed(Exception):  # noqa: N818 - the outcome of a fetch, told to a framework
    """A URI could not be brought into the sandbox; the text says which and why."""


class UnpackError(Exception):
    """What is to be unpacked cannot be, or may not be; a phrase that says why."""


# What opening, reading and unpacking what somebody else wrote can come to.
_FAILURES: Final = (
    UnpackError, OSError, EOFError, ValueError, RuntimeError, MemoryError, OverflowError, struct.error,
    tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, aiohttp.ClientError,
)  # fmt: skip

Blocking = Callable[..., Awaitable[Any]]
"""Runs a blocking function elsewhere (an actor's `in_thread`)."""
Uri = pb.mesos.CommandInfo.URI


class Folder:
    """A folder in which files are made, and nothing outside of it. Use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self._owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def create(self, name: str, mode: int = 0o644) -> IO[bytes]:
        """A new file to write to; what had its name before is gone."""
        with self._parent(name) as (fd, base):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(base, flags, 0o600, dir_fd=fd)
        self._own(file)
        os.fchmod(file, mode & _MODE)
        return os.fdopen(file, "wb")

    def open(self, name: str) -> IO[bytes]:
        """A file of the folder, to be read."""
        with self._parent(name, clear=False) as (fd, base):
            return os.fdopen(os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd), "rb")

    def make(self, name: str, mode: int = 0o755) -> None:
        """A folder, if it is not there."""
        if parts := _parts(name):
            with self._descended(parts, name) as fd:
                os.fchmod(fd, (mode & _MODE) | 0o700)

    def symlink(self, name: str, target: str) -> None:
        """A symbolic link. Nothing is ever written through it."""
        with self._parent(name) as (fd, base):
            os.symlink(target, base, dir_fd=fd)
            if self._owner is not None:
                os.chown(base, *self._owner, dir_fd=fd, follow_symlinks=False)

    def link(self, name: str, target: str) -> None:
        """A hard link to a file of the folder."""
        with self._parent(target, clear=False) as (source, source_base):
            what = f"the hard link {_shown(name)} is to {_shown(target)}"
            try:
                found = os.stat(source_base, dir_fd=source, follow_symlinks=False)
            except FileNotFoundError:
                raise UnpackError(f"{what}, which is not there") from None
            if not stat.S_ISREG(found.st_mode):
                raise UnpackError(f"{what}, which is not a file")
            with self._parent(name) as (fd, base):
                os.link(source_base, base, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)

    @contextmanager
    def _parent(self, name: str, *, clear: bool = True) -> Iterator[tuple[int, str]]:
        """The folder of an entry, open, and the entry's own name, which is free then unless not asked for."""
        parts = _parts(name)
        if not parts:
            raise UnpackError(f"{_shown(name)} is not the name of a file")
        with self._descended(parts[:-1], name) as fd:
            try:
                if clear:
                    os.unlink(parts[-1], dir_fd=fd)
            except FileNotFoundError:
                pass
            except (IsADirectoryError, PermissionError) as error:
                raise UnpackError(f"{_shown(name)} is a folder already") from error
            yield fd, parts[-1]

    @contextmanager
    def _descended(self, parts: list[str], name: str) -> Iterator[int]:
        """The folder that these steps lead to, open; made where it is not there."""
        fd = os.dup(self._fd)
        try:
            for part in parts:
                try:
                    inner = self._step(fd, part)
                except OSError as error:
                    if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                        raise
                    why = f"leads through {_shown(part)}, which is not a folder"
                    raise UnpackError(f"{_shown(name)} {why}") from None
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _step(self, fd: int, part: str) -> int:
        try:
            return os.open(part, _FOLDER, dir_fd=fd)
        except FileNotFoundError:
            os.mkdir(part, 0o755, dir_fd=fd)
            made = os.open(part, _FOLDER, dir_fd=fd)
            self._own(made)
            return made

    def _own(self, fd: int) -> None:
        if self._owner is not None:
            os.fchown(fd, *self._owner)


def _parts(name: str) -> list[str]:
    """The steps from a folder to something in it, which may not lead out; a leading slash is dropped, as by tar."""
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

    def copy(self, source: IO[bytes], out: IO[bytes]) -> None:
        while data := source.read(_CHUNK):
            self._left -= len(data)
            if self._left < 0:
                raise UnpackError(f"unpacked, the archive has more than {self.bytes} bytes")
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
    """Unpack an archive of a folder into the folder itself. Blocks; raises any of `_FAILURES`."""
    with folder.open(name) as file:
        budget = _Budget(os.fstat(file.fileno()).st_size)
        if name.endswith(_TAR_NAMES):
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


def base_name(uri: str) -> str:
    """The file name that a URI gets in the sandbox; raises FetchFailed for one that can be none."""
    if any(c in uri for c in "\\'\0"):
        raise FetchFailed(f"Illegal characters in URI: {uri!r}")
    scheme, separator, path = uri.partition("://")
    if not separator or len(scheme) <= 1:
        path = uri
    elif not path.partition("/")[2]:
        raise FetchFailed(f"Malformed URI (missing path): {uri}")
    name = path.split("?", 1)[0] if uri.startswith(_NET) else path
    return name.rstrip("/").rsplit("/", 1)[-1]


def local_path(uri: str) -> Path | None:
    """The path on this machine that a URI means; None if it means something elsewhere."""
    if uri.startswith("file://"):
        path = unquote(uri.removeprefix("file://").removeprefix("localhost"))
        if not path.startswith("/"):
            raise FetchFailed("File URI only supports absolute paths")
        return Path(path)
    if "://" in uri:
        return None
    if not uri.startswith("/"):
        raise FetchFailed(
            "A relative path was passed for the resource but the Mesos framework home was not specified. "
            "Please either provide this config option or avoid using a relative path"
        )
    return Path(uri)


async def fetch(uris: Iterable[Uri], sandbox: Path, blocking: Blocking) -> None:
    """Bring every URI into the sandbox, in order; raises FetchFailed for the first that could not be."""
    for item in uris:
        try:
            await _fetch_one(item, sandbox, blocking)
        except _FAILURES as error:
            why = error.strerror if isinstance(error, OSError) else None
            why = why or (str(error) or type(error).__name__).encode("utf-8", "backslashreplace").decode()
            raise FetchFailed(f"Failed to fetch '{item.value}': {why}") from error


async def _fetch_one(item: Uri, sandbox: Path, blocking: Blocking) -> None:
    name = item.output_file or base_name(item.value)
    inside(sandbox, name)
    source = local_path(item.value)
    with Folder(sandbox) as folder:
        if source is None:
            await _download(item, name, folder)
        elif source.is_dir():
            raise FetchFailed(f"Failed to fetch '{item.value}': it is a directory")
        elif not stat.S_ISREG(found := source.stat().st_mode):
            raise FetchFailed(f"Failed to fetch '{item.value}': it is a device or a pipe")
        elif source.stat().st_size > _COPY_INLINE:
            await blocking(_copy, source, folder, name, _mode(found, item))
        else:
            _copy(source, folder, name, _mode(found, item))
        if item.extract and not item.executable and is_archive(name):
            await blocking(unpack, name, folder)


def _mode(found: int, item: Uri) -> int:
    return found | 0o111 if item.executable else found


def _copy(source: Path, folder: Folder, name: str, mode: int) -> None:
    with source.open("rb") as data, folder.create(name, mode) as out:
        shutil.copyfileobj(data, out)


async def _download(item: Uri, name: str, folder: Folder) -> None:
    uri = item.value
    if not uri.startswith(_NET):
        scheme = uri.partition("://")[0]
        raise FetchFailed(f"Failed to fetch '{uri}': no client for '{scheme}' URIs on this agent")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=STALL_TIMEOUT, sock_read=STALL_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
        session.get(uri, headers={"Accept-Encoding": "identity"}) as response,
    ):
        if response.status != 200:
            raise FetchFailed(f"Failed to fetch '{uri}': HTTP status {response.status}")
        with folder.create(name, _mode(0o644, item)) as out:
            left = MOST_BYTES
            async for chunk in response.content.iter_chunked(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise FetchFailed(f"Failed to fetch '{uri}': it has more than {MOST_BYTES} bytes")
                out.write(chunk)


def is_archive(name: str) -> bool:
    """Whether a file is unpacked when its URI asks for it: by its name, as in Mesos."""
    return name.endswith((*_TAR_NAMES, ".zip", ".gz"))
