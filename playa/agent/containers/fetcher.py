"""The fetcher: brings a command's URIs into its sandbox before the command starts.

Plain paths, `file://`, `http://` and `https://`; sets the executable bit or unpacks archives as asked; an `output_file`
gives another name (Mesos documentation, "Fetcher"). The `cache` flag is accepted and means nothing here: everything is
fetched again. Other schemes (hdfs, s3, ftp) are refused as by an agent that has no Hadoop client.

Nothing that is fetched or unpacked lands outside of the sandbox: see `unpacking`.

A failure is one `FetchFailed` whose text names the URI and the cause; a URI that fails fails them all.
"""

import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from mesos_v1 import pb
from playa.agent.containers.sandbox import inside
from playa.agent.containers.unpacking import MOST_BYTES, TAR_NAMES, Folder, UnpackError, unpack

STALL_TIMEOUT: Final = 60.0
_CHUNK: Final = 1 << 18
_COPY_INLINE: Final = 4 << 20
_NET: Final = ("http://", "https://")


# What opening, reading and unpacking what somebody else wrote can come to.
_FAILURES: Final = (
    UnpackError, OSError, EOFError, ValueError, RuntimeError, MemoryError, OverflowError, struct.error,
    tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error,
)  # fmt: skip


class FetchFailed(Exception):  # noqa: N818 - the outcome of a fetch, told to a framework
    """A URI could not be brought into the sandbox; the text says which and why."""


Blocking = Callable[..., Awaitable[Any]]
"""Runs a blocking function elsewhere (an actor's `in_thread`)."""
Uri = pb.mesos.CommandInfo.URI


def base_name(uri: str) -> str:
    """The file name that a URI gets in the sandbox.

    Raises:
        FetchFailed: It has characters that no URI may have, or no path.
    """
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
    """The path on this machine that a URI means; None if it means something elsewhere.

    Raises:
        FetchFailed: A relative path: the agent has no framework home to look in.
    """
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
    """Bring every URI into the sandbox, in order.

    Raises:
        FetchFailed: The first that could not be; the sandbox keeps what came before.
    """
    for item in uris:
        try:
            await _fetch_one(item, sandbox, blocking)
        except FetchFailed:
            raise
        except _FAILURES as error:
            raise FetchFailed(f"Failed to fetch '{item.value}': {_cause(error)}") from error


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
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=STALL_TIMEOUT, sock_read=STALL_TIMEOUT)
    try:
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
    except (TimeoutError, aiohttp.ClientError) as error:
        raise FetchFailed(f"Failed to fetch '{uri}': {_cause(error)}") from error


def is_archive(name: str) -> bool:
    """Whether a file is unpacked when its URI asks for it: by its name, as in Mesos."""
    return name.endswith((*TAR_NAMES, ".zip", ".gz"))


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).encode("utf-8", "backslashreplace").decode()
