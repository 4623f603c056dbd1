"""The fetcher: brings a command's URIs into its sandbox before the command starts.

Plain paths, `file://`, `http://` and `https://`; sets the executable bit or unpacks archives as asked; an `output_file`
gives another name (Mesos documentation, "Fetcher"). The `cache` flag is accepted and means nothing here: everything is
fetched anew. Other schemes (hdfs, s3, ftp) are refused as by an agent that has no Hadoop client.

A failure is one `FetchFailed` whose text names the URI and the cause; a URI that fails fails them all.
"""

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote

from playa.agent.sandbox import inside

STALL_TIMEOUT: Final = 60.0
_CHUNK: Final = 1 << 18
_COPY_INLINE: Final = 4 << 20
_TAR: Final = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
_NET: Final = ("http://", "https://")


class FetchFailed(Exception):  # noqa: N818 - the outcome of a fetch, told to a framework
    """A URI could not be brought into the sandbox; the text says which and why."""


class Blocking(Protocol):
    """Runs a blocking function elsewhere (an actor's `in_thread`)."""

    def __call__(self, function: Callable[..., Any], /, *args: Any) -> Awaitable[Any]:
        """Run `function(*args)` without holding up the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """One URI of a CommandInfo."""

    uri: str
    executable: bool = False
    extract: bool = True
    output_file: str = ""


def wanted(uris: Iterable[Any]) -> tuple[Wanted, ...]:
    """The URIs of a CommandInfo (`mesos.v1.CommandInfo.URI`)."""
    return tuple(
        Wanted(u.value, executable=u.executable, extract=u.extract, output_file=u.output_file) for u in uris
    )


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


async def fetch(uris: Iterable[Wanted], sandbox: Path, blocking: Blocking) -> None:
    """Bring every URI into the sandbox, in order.

    Raises:
        FetchFailed: The first that could not be; the sandbox keeps what came before.
    """
    for item in uris:
        try:
            await _fetch_one(item, sandbox, blocking)
        except FetchFailed:
            raise
        except (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise FetchFailed(f"Failed to fetch '{item.uri}': {_cause(error)}") from error


async def _fetch_one(item: Wanted, sandbox: Path, blocking: Blocking) -> None:
    name = item.output_file or base_name(item.uri)
    target = inside(sandbox, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = local_path(item.uri)
    if source is None:
        await _download(item.uri, target)
    elif source.is_dir():
        raise FetchFailed(f"Failed to fetch '{item.uri}': it is a directory")
    elif source.stat().st_size > _COPY_INLINE:
        await blocking(shutil.copy, source, target)
    else:
        shutil.copy(source, target)
    if item.executable:
        target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    elif item.extract and is_archive(target.name):
        await blocking(unpack, target, sandbox)


async def _download(uri: str, target: Path) -> None:
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
            with target.open("wb") as out:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    out.write(chunk)
    except (TimeoutError, aiohttp.ClientError) as error:
        raise FetchFailed(f"Failed to fetch '{uri}': {_cause(error)}") from error


def is_archive(name: str) -> bool:
    """Whether a file is unpacked when its URI asks for it: by its name, as in Mesos."""
    return name.endswith((*_TAR, ".zip", ".gz"))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive beside itself; nothing in it can land outside the folder. Blocks.

    Raises:
        OSError, tarfile.TarError, zipfile.BadZipFile: It cannot be read, or leads out of the folder.
    """
    name = archive.name
    if name.endswith(_TAR):
        with tarfile.open(archive) as tar:
            _untar(tar, folder)
    elif name.endswith(".zip"):
        _unzip(archive, folder)
    elif name.endswith(".gz"):
        with gzip.open(archive) as source, archive.with_suffix("").open("wb") as out:
            shutil.copyfileobj(source, out)


def _untar(tar: tarfile.TarFile, folder: Path) -> None:
    if hasattr(tarfile, "tar_filter"):
        tar.extractall(folder, filter="tar")
        return
    root = os.path.realpath(folder)  # Python before 3.11.4 has no filters: the same rule by hand
    for member in tar:
        member.name = member.name.lstrip("/")
        target = os.path.realpath(os.path.join(root, member.name))  # noqa: PTH118 -- realpath follows links made so far
        if os.path.commonpath([root, target]) != root:
            raise tarfile.TarError(f"{member.name!r} would land outside of the sandbox")
        tar.extract(member, folder)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            path = packed.extract(member, folder)
            mode = (member.external_attr >> 16) & 0o777
            if mode and not member.is_dir():
                Path(path).chmod(mode)


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
