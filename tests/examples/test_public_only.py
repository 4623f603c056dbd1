"""What pages of the open web may not do: send the crawler or the browser to this machine or its network."""

import asyncio
import socket

import pytest

from examples.rendler.crawl_executor import CrawlExecutor, CrawlSettings
from examples.rendler.messages import Crawl
from examples.rendler.public_only import Gate, PrivateAddressError, check, is_public, leads_to_private
from examples.rendler.render_executor import Chromium, RenderSettings, find_chromium
from mesostic.testing import run_task
from tests.examples.test_chromium import needs_chromium


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:7f00:1::",
        "::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "5f00::1", "192.0.0.8",
    ],
)  # fmt: skip
def test_addresses_of_this_machine_and_its_network_are_private(address):
    assert not is_public(address)
    with pytest.raises(PrivateAddressError, match="may not lead"):
        check(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_open_web_are_public(address):
    assert is_public(address)


def test_a_seed_on_this_machine_is_known_for_one():
    assert leads_to_private("http://localhost:8000/")
    assert leads_to_private("http://127.0.0.1/")
    assert not leads_to_private("http://8.8.8.8/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_crawl_from_the_open_web_connects_to_no_private_address(site, host):
    port = site.url.rstrip("/").rpartition(":")[2]
    page = Crawl(f"http://{host}:{port}/index.html", 1, public_only=True)
    crawled = await run_task(CrawlExecutor, page, settings=CrawlSettings(obey_robots=host != "localhost"))
    assert (crawled.status, crawled.skipped, crawled.links) == (None, True, ())
    assert "may not lead" in crawled.error


async def test_the_gate_lets_nothing_through_to_this_machine():
    gate = Gate()
    await gate.start()
    heard = []
    server = await asyncio.start_server(lambda *_: heard.append(1), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::ffff:127.0.0.1]:{port}"):
            for request in (f"CONNECT {host} HTTP/1.1", f"GET http://{host}/ HTTP/1.1"):
                reader, writer = await asyncio.open_connection(*gate.url.removeprefix("http://").split(":"))
                writer.write(f"{request}\r\nHost: {host}\r\n\r\n".encode())
                assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 403 ")
                writer.close()
    finally:
        server.close()
        await gate.stop()
    assert not heard


async def test_the_gate_carries_what_may_pass(monkeypatch):
    """Loopback counts as public here, so that no packet leaves the machine."""
    monkeypatch.setattr("examples.rendler.public_only.is_public", lambda _: True)

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert b"Proxy-" not in head
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + head.split(b" ")[1])
        writer.close()

    gate = Gate()
    await gate.start()
    server = await asyncio.start_server(answer, "127.0.0.1", 0, family=socket.AF_INET)
    port = server.sockets[0].getsockname()[1]
    try:
        reader, writer = await asyncio.open_connection(*gate.url.removeprefix("http://").split(":"))
        writer.write(
            f"GET http://127.0.0.1:{port}/a?b=c HTTP/1.1\r\nProxy-Connection: keep-alive\r\nHost: x\r\n\r\n".encode()
        )
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"\r\n\r\n/a?b=c")
        writer.close()
    finally:
        server.close()
        await gate.stop()


@pytest.mark.chromium
@needs_chromium
@pytest.mark.filterwarnings("default::ResourceWarning")
async def test_a_page_in_the_browser_reaches_no_private_address(site):
    chromium = Chromium(
        find_chromium(), RenderSettings(width=400, height=300, thumbnail_width=100, user_agent="test")
    )
    try:
        shot = await chromium.picture(site.url + "index.html", limit=20, public_only=True)
        assert shot.picture, "a picture of the refusal"
        assert chromium._gate is not None
        assert chromium._gate.refused >= 1
        refused = chromium._gate.refused
        await chromium.picture(site.url + "index.html", limit=20)
        assert chromium._gate.refused == refused, (
            "where private addresses are allowed, nothing stands between"
        )
    finally:
        await chromium.close()
