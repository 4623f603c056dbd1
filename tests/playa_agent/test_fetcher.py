import contextlib
import gzip
import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos_v1 import pb
from playa.agent.containers import fetcher
from playa.agent.containers.fetcher import (
    FetchFailed,
    Folder,
    UnpackError,
    base_name,
    fetch,
    is_archive,
    local_path,
    unpack,
)


def wanted(uri, executable=False, **more):
    """A URI of a command."""
    return pb.mesos.CommandInfo.URI(value=uri, executable=executable, **more)


async def inline(function, /, *args):
    return function(*args)


@pytest.fixture
def sandbox(tmp_path):
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    return sandbox


@pytest.fixture
async def site(tmp_path):
    """A web server with one file and one that is not there."""

    async def tool(_request):
        return web.Response(body=b"#!/bin/sh\n")

    app = web.Application()
    app.router.add_get("/dir/tool", tool)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def tar_of(path, mode, **files):
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o755
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/a/b.txt", "b.txt"),
        ("file:///a/b.txt", "b.txt"),
        ("http://host/dir/b.tgz", "b.tgz"),
        ("http://host/dir/b.tgz?token=1/2", "b.tgz"),
        ("b.txt", "b.txt"),
    ],
)
def test_a_uri_s_file_name_is_the_last_part_of_its_path(uri, name):
    assert base_name(uri) == name


@pytest.mark.parametrize("uri", ["http://host", "http://host/", "a'b", "a\\b"])
def test_a_uri_without_a_path_or_with_odd_characters_is_refused(uri):
    with pytest.raises(FetchFailed):
        base_name(uri)


def test_relative_paths_are_refused_in_mesos_words():
    with pytest.raises(FetchFailed, match="Mesos framework home was not specified"):
        local_path("relative/file")
    with pytest.raises(FetchFailed, match="only supports absolute paths"):
        local_path("file://relative")
    assert local_path("http://host/x") is None


async def test_a_local_file_is_copied_and_made_executable_if_asked(tmp_path, sandbox):
    (tmp_path / "tool").write_text("x")
    await fetch(
        [wanted(f"file://{tmp_path}/tool", executable=True), wanted(str(tmp_path / "tool"))], sandbox, inline
    )
    assert (sandbox / "tool").read_text() == "x"


async def test_the_executable_bit_is_set_only_if_asked(tmp_path, sandbox):
    (tmp_path / "tool").write_text("x")
    await fetch(
        [wanted(str(tmp_path / "tool"), output_file="a"), wanted(str(tmp_path / "tool"), True)],
        sandbox,
        inline,
    )
    assert not (sandbox / "a").stat().st_mode & 0o111
    assert (sandbox / "tool").stat().st_mode & 0o111 == 0o111


async def test_an_output_file_may_lie_in_a_folder_but_not_outside(tmp_path, sandbox):
    (tmp_path / "tool").write_text("x")
    await fetch([wanted(str(tmp_path / "tool"), output_file="deep/er/name")], sandbox, inline)
    assert (sandbox / "deep" / "er" / "name").read_text() == "x"
    for name in ("../name", "/name"):
        with pytest.raises(FetchFailed, match="not inside the sandbox"):
            await fetch([wanted(str(tmp_path / "tool"), output_file=name)], sandbox, inline)


async def test_http_uris_are_downloaded(site, sandbox):
    await fetch([wanted(f"{site}/dir/tool", executable=True)], sandbox, inline)
    assert (sandbox / "tool").read_bytes() == b"#!/bin/sh\n"


async def test_a_missing_http_file_says_which_and_what_the_server_said(site, sandbox):
    with pytest.raises(FetchFailed, match=r"Failed to fetch 'http://.*/nothing': HTTP status 404"):
        await fetch([wanted(f"{site}/nothing")], sandbox, inline)


async def test_a_server_that_is_not_there_says_so(sandbox, unused_tcp_port):
    with pytest.raises(FetchFailed, match="Failed to fetch"):
        await fetch([wanted(f"http://127.0.0.1:{unused_tcp_port}/x")], sandbox, inline)


@pytest.mark.parametrize("uri", ["hdfs://host/x", "s3://bucket/x", "ftp://host/x"])
async def test_schemes_that_need_a_client_of_their_own_are_refused(uri, sandbox):
    with pytest.raises(FetchFailed, match="no client for"):
        await fetch([wanted(uri)], sandbox, inline)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.tar", "w"),
        ("a.tgz", "w:gz"),
        ("a.tar.gz", "w:gz"),
        ("a.tbz2", "w:bz2"),
        ("a.tar.bz2", "w:bz2"),
        ("a.txz", "w:xz"),
        ("a.tar.xz", "w:xz"),
    ],
)
async def test_tar_archives_are_unpacked_with_their_modes(tmp_path, sandbox, name, mode):
    tar_of(tmp_path / name, mode, inner=b"inside")
    await fetch([wanted(str(tmp_path / name))], sandbox, inline)
    assert (sandbox / "inner").read_bytes() == b"inside"
    assert (sandbox / "inner").stat().st_mode & 0o111
    assert (sandbox / name).exists(), "the archive itself stays"


async def test_zip_and_gz_are_unpacked(tmp_path, sandbox):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        info = zipfile.ZipInfo("bin/tool")
        info.external_attr = 0o755 << 16
        packed.writestr(info, "x")
    with gzip.open(tmp_path / "b.txt.gz", "wb") as out:
        out.write(b"y")
    await fetch([wanted(str(tmp_path / "a.zip")), wanted(str(tmp_path / "b.txt.gz"))], sandbox, inline)
    assert (sandbox / "bin" / "tool").stat().st_mode & 0o111
    assert (sandbox / "b.txt").read_bytes() == b"y"


async def test_extract_false_leaves_an_archive_alone(tmp_path, sandbox):
    tar_of(tmp_path / "a.tgz", "w:gz", inner=b"x")
    await fetch([wanted(str(tmp_path / "a.tgz"), extract=False)], sandbox, inline)
    assert not (sandbox / "inner").exists()


async def test_an_archive_that_leads_out_of_the_sandbox_fails(tmp_path, sandbox):
    tar_of(tmp_path / "evil.tar", "w", **{"../outside": b"x"})
    with pytest.raises(FetchFailed):
        await fetch([wanted(str(tmp_path / "evil.tar"))], sandbox, inline)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["a.tgz", "a.zip", "a.gz", "a.tar"])
async def test_a_broken_archive_fails_with_its_name(tmp_path, sandbox, name):
    (tmp_path / name).write_bytes(b"not an archive")
    with pytest.raises(FetchFailed, match=name):
        await fetch([wanted(str(tmp_path / name))], sandbox, inline)


async def test_a_folder_is_refused(tmp_path, sandbox):
    with pytest.raises(FetchFailed, match="directory"):
        await fetch([wanted(str(tmp_path))], sandbox, inline)


@given(st.text(max_size=40))
def test_any_text_as_a_uri_gives_a_name_or_a_refusal(uri):
    """Nothing but FetchFailed ever comes out, and no name has a slash."""
    try:
        name = base_name(uri)
    except FetchFailed:
        return
    assert "/" not in name
    assert isinstance(is_archive(name), bool)


# --- attacks: nothing is written outside of the sandbox ---------------------------------------------------------


def entry(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def link(name, target, kind=tarfile.SYMTYPE):
    return entry(name, type=kind, linkname=target)


def hard(name, target):
    return link(name, target, tarfile.LNKTYPE)


def write_tar(path, *entries):
    with tarfile.open(path, "w") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))


OUT = "@OUT@"  # the folder outside, absolute
ATTACKS = {
    "hard link to a file outside": [[hard("x", f"{OUT}/kept"), entry("x", b"evil")]],
    "hard link by dots": [[hard("x", "../outside/kept"), entry("x", b"evil")]],
    "hard link through a symlink": [[link("d", OUT), hard("x", "d/kept"), entry("x", b"evil")]],
    "hard link to a symlink": [[link("s", f"{OUT}/kept"), hard("x", "s"), entry("x", b"evil")]],
    "file through a symlink": [[link("d", OUT), entry("d/new", b"evil")]],
    "file through a symlink of an earlier archive": [[link("d", OUT)], [entry("d/new", b"evil")]],
    "file over a symlink": [[link("f", f"{OUT}/kept"), entry("f", b"evil")]],
    "file over a symlink of an earlier archive": [[link("f", f"{OUT}/kept")], [entry("f", b"evil")]],
    "chained symlinks": [[link("a", "."), link("a/b", ".."), entry("a/b/outside/new", b"evil")]],
    "folder over a symlink": [
        [link("d", OUT), entry("d", type=tarfile.DIRTYPE, mode=0o777), entry("d/new", b"evil")]
    ],
    "dots": [[entry("../outside/new", b"evil")]],
    "dots within": [[entry("a/../../outside/new", b"evil")]],
    "absolute": [[entry(f"{OUT}/new", b"evil")]],
    "symlink in a folder outside": [[link("d", OUT), link("d/new", "/etc/passwd")]],
    "device": [[entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)]],
    "block device": [[entry("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0)]],
    "pipe": [[entry("pipe", type=tarfile.FIFOTYPE)]],
    "the archive's own name as a link": [[link("b.tar", f"{OUT}/kept")], [entry("x", b"evil")]],
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_archive_writes_outside_of_the_sandbox(tmp_path, sandbox, attack):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    before = outside.stat().st_mode, (outside / "kept").stat()
    uris = []
    for name, entries in zip(("a.tar", "b.tar"), ATTACKS[attack], strict=False):
        there = [
            (
                info.replace(
                    name=info.name.replace(OUT, str(outside)),
                    linkname=info.linkname.replace(OUT, str(outside)),
                ),
                data,
            )
            for info, data in entries
        ]
        write_tar(tmp_path / name, *there)
        uris.append(wanted(str(tmp_path / name)))
    with contextlib.suppress(FetchFailed):
        await fetch(uris, sandbox, inline)
    assert sorted(path.name for path in outside.iterdir()) == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    after = outside.stat().st_mode, (outside / "kept").stat()
    assert (before[0], before[1].st_mode, before[1].st_ino, 1) == (
        after[0],
        after[1].st_mode,
        after[1].st_ino,
        after[1].st_nlink,
    )
    assert all(path.is_symlink() or path.is_file() or path.is_dir() for path in sandbox.rglob("*"))


PIECES = st.sampled_from(["a", "b", "..", ".", "", "outside", "kept", OUT])
NAMES = st.lists(PIECES, min_size=1, max_size=4).map("/".join)
ENTRIES = st.tuples(
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]),
    NAMES,
    NAMES,
)


@settings(deadline=None)  # a busy machine is slow to write files
@given(archives=st.lists(st.lists(ENTRIES, min_size=1, max_size=6), min_size=1, max_size=3))
def test_whatever_archives_say_nothing_outside_of_the_sandbox_changes(archives):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "outside").mkdir()
        (root / "outside" / "kept").write_text("kept")
        (root / "sandbox").mkdir()
        for number, entries in enumerate(archives):
            name = f"{number}.tar"
            listed = [
                entry(n.replace(OUT, f"{root}/outside"), b"evil" if kind == tarfile.REGTYPE else b"", type=kind,
                      linkname=t.replace(OUT, f"{root}/outside"), mode=0o7777)
                for kind, n, t in entries
            ]  # fmt: skip
            write_tar(root / "sandbox" / name, *listed)
            with (
                contextlib.suppress(UnpackError, OSError, tarfile.TarError),
                Folder(root / "sandbox") as sandbox,
            ):
                unpack(name, sandbox)
        assert sorted(path.name for path in root.iterdir()) == ["outside", "sandbox"]
        assert [path.name for path in (root / "outside").iterdir()] == ["kept"]
        kept = (root / "outside" / "kept").stat()
        assert (kept.st_size, kept.st_nlink, kept.st_mode & 0o7777) == (4, 1, 0o666 & ~umask())
        assert not any(path.lstat().st_mode & 0o7000 for path in (root / "sandbox").rglob("*"))


def umask():
    found = os.umask(0o022)
    os.umask(found)
    return found


@pytest.mark.parametrize("name", ["../outside", "/tmp/../outside", "a/../../outside", "..\\..\\x", "C:\\x"])
async def test_no_zip_writes_outside_of_the_sandbox(tmp_path, sandbox, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(zipfile.ZipInfo(name), "evil")
    with contextlib.suppress(FetchFailed):
        await fetch([wanted(str(tmp_path / "a.zip"))], sandbox, inline)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "sandbox"]


async def test_setuid_bits_are_taken_off_and_hard_links_within_work(tmp_path, sandbox):
    setuid = entry("tool", b"x", mode=0o6777)
    write_tar(
        tmp_path / "a.tar", setuid, hard("same", "tool"), link("soft", "tool"), entry("d/e", b"y", mode=0o666)
    )
    await fetch([wanted(str(tmp_path / "a.tar"))], sandbox, inline)
    assert (sandbox / "tool").stat().st_mode & 0o7777 == 0o755
    assert (sandbox / "same").samefile(sandbox / "tool")
    assert (sandbox / "soft").readlink() == Path("tool")
    assert (sandbox / "d" / "e").read_text() == "y"


async def test_what_is_downloaded_or_copied_goes_over_no_link_either(tmp_path, sandbox, site):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "tool").write_text("evil")
    (sandbox / "tool").symlink_to(tmp_path / "kept")
    (sandbox / "d").symlink_to(tmp_path)
    await fetch([wanted(f"{site}/dir/tool"), wanted(str(tmp_path / "tool"))], sandbox, inline)
    assert (tmp_path / "kept").read_text() == "kept"
    assert not (sandbox / "tool").is_symlink()
    with pytest.raises(FetchFailed, match="leads through 'd', which is not a folder"):
        await fetch([wanted(str(tmp_path / "tool"), output_file="d/new")], sandbox, inline)


@pytest.mark.parametrize("kind", ["tgz", "zip", "gz", "header"])
async def test_a_bomb_is_refused_before_it_has_filled_the_disk(tmp_path, sandbox, monkeypatch, kind):
    monkeypatch.setattr(fetcher, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(fetcher, "MOST_RATIO", 2)
    file = tmp_path / f"bomb.{'tgz' if kind == 'header' else kind}"
    zeros = bytes(8 << 20)
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("zeros", zeros)
    elif kind == "gz":
        file.write_bytes(gzip.compress(zeros))
    elif kind == "tgz":
        tar_of(file, "w:gz", zeros=zeros)
    else:  # a header for extended attributes, 1 GiB of them
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.XHDTYPE, 1 << 30
        file.write_bytes(gzip.compress(info.tobuf() + zeros))
    with pytest.raises(FetchFailed, match=r"bomb.*(more than \d+ bytes|header that is too long)"):
        await fetch([wanted(str(file))], sandbox, inline)
    assert sum(path.stat().st_size for path in sandbox.iterdir()) < 3 << 20


async def test_an_archive_with_too_many_entries_is_refused(tmp_path, sandbox, monkeypatch):
    monkeypatch.setattr(fetcher, "MOST_ENTRIES", 10)
    write_tar(tmp_path / "a.tar", *(entry(str(number)) for number in range(11)))
    with pytest.raises(FetchFailed, match="more than 10 entries"):
        await fetch([wanted(str(tmp_path / "a.tar"))], sandbox, inline)


async def test_devices_are_not_copied(sandbox):
    with pytest.raises(FetchFailed, match="'/dev/zero': it is a device or a pipe"):
        await fetch([wanted("/dev/zero")], sandbox, inline)


async def test_a_zip_with_a_password_is_refused_in_a_sentence(tmp_path, sandbox):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("x", "y")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[6] |= 1  # encrypted, says the entry
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(FetchFailed, match=r"a\.zip.*password"):
        await fetch([wanted(str(tmp_path / "a.zip"))], sandbox, inline)


@pytest.mark.parametrize(
    ("packed", "made"), [(0o000, 0o700), (0o500, 0o700), (0o750, 0o750), (0o6777, 0o755)]
)
async def test_a_folder_of_an_archive_keeps_its_mode_as_far_as_its_owner_can_use_it(
    tmp_path, sandbox, packed, made
):
    folder = tarfile.TarInfo("d")
    folder.type, folder.mode = tarfile.DIRTYPE, packed
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(folder)
    await fetch([wanted(str(tmp_path / "a.tar"))], sandbox, inline)
    assert (sandbox / "d").stat().st_mode & 0o7777 == made
