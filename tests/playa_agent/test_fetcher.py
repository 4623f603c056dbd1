import gzip
import io
import tarfile
import zipfile

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from playa.agent.fetcher import FetchFailed, Wanted, base_name, fetch, is_archive, local_path


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
        [Wanted(f"file://{tmp_path}/tool", executable=True), Wanted(str(tmp_path / "tool"))], sandbox, inline
    )
    assert (sandbox / "tool").read_text() == "x"


async def test_the_executable_bit_is_set_only_if_asked(tmp_path, sandbox):
    (tmp_path / "tool").write_text("x")
    await fetch(
        [Wanted(str(tmp_path / "tool"), output_file="a"), Wanted(str(tmp_path / "tool"), True)],
        sandbox,
        inline,
    )
    assert not (sandbox / "a").stat().st_mode & 0o111
    assert (sandbox / "tool").stat().st_mode & 0o111 == 0o111


async def test_an_output_file_may_lie_in_a_folder_but_not_outside(tmp_path, sandbox):
    (tmp_path / "tool").write_text("x")
    await fetch([Wanted(str(tmp_path / "tool"), output_file="deep/er/name")], sandbox, inline)
    assert (sandbox / "deep" / "er" / "name").read_text() == "x"
    for name in ("../name", "/name"):
        with pytest.raises(FetchFailed, match="not inside the sandbox"):
            await fetch([Wanted(str(tmp_path / "tool"), output_file=name)], sandbox, inline)


async def test_http_uris_are_downloaded(site, sandbox):
    await fetch([Wanted(f"{site}/dir/tool", executable=True)], sandbox, inline)
    assert (sandbox / "tool").read_bytes() == b"#!/bin/sh\n"


async def test_a_missing_http_file_says_which_and_what_the_server_said(site, sandbox):
    with pytest.raises(FetchFailed, match=r"Failed to fetch 'http://.*/nothing': HTTP status 404"):
        await fetch([Wanted(f"{site}/nothing")], sandbox, inline)


async def test_a_server_that_is_not_there_says_so(sandbox, unused_tcp_port):
    with pytest.raises(FetchFailed, match="Failed to fetch"):
        await fetch([Wanted(f"http://127.0.0.1:{unused_tcp_port}/x")], sandbox, inline)


@pytest.mark.parametrize("uri", ["hdfs://host/x", "s3://bucket/x", "ftp://host/x"])
async def test_schemes_that_need_a_client_of_their_own_are_refused(uri, sandbox):
    with pytest.raises(FetchFailed, match="no client for"):
        await fetch([Wanted(uri)], sandbox, inline)


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
    await fetch([Wanted(str(tmp_path / name))], sandbox, inline)
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
    await fetch([Wanted(str(tmp_path / "a.zip")), Wanted(str(tmp_path / "b.txt.gz"))], sandbox, inline)
    assert (sandbox / "bin" / "tool").stat().st_mode & 0o111
    assert (sandbox / "b.txt").read_bytes() == b"y"


async def test_extract_false_leaves_an_archive_alone(tmp_path, sandbox):
    tar_of(tmp_path / "a.tgz", "w:gz", inner=b"x")
    await fetch([Wanted(str(tmp_path / "a.tgz"), extract=False)], sandbox, inline)
    assert not (sandbox / "inner").exists()


async def test_an_archive_that_leads_out_of_the_sandbox_fails(tmp_path, sandbox):
    tar_of(tmp_path / "evil.tar", "w", **{"../outside": b"x"})
    with pytest.raises(FetchFailed):
        await fetch([Wanted(str(tmp_path / "evil.tar"))], sandbox, inline)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["a.tgz", "a.zip", "a.gz", "a.tar"])
async def test_a_broken_archive_fails_with_its_name(tmp_path, sandbox, name):
    (tmp_path / name).write_bytes(b"not an archive")
    with pytest.raises(FetchFailed, match=name):
        await fetch([Wanted(str(tmp_path / name))], sandbox, inline)


async def test_a_folder_is_refused(tmp_path, sandbox):
    with pytest.raises(FetchFailed, match="directory"):
        await fetch([Wanted(str(tmp_path))], sandbox, inline)


@given(st.text(max_size=40))
def test_any_text_as_a_uri_gives_a_name_or_a_refusal(uri):
    """Nothing but FetchFailed ever comes out, and no name has a slash."""
    try:
        name = base_name(uri)
    except FetchFailed:
        return
    assert "/" not in name
    assert isinstance(is_archive(name), bool)
