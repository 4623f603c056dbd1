"""The crawl executor: fetches a page, obeys robots.txt, reads the links. One per agent, many pages at a time.

Transient failures (no answer, 503, a broken connection) fail the task, and the framework tries it again; what will
not (404, robots.txt, a PDF) is the task's result.
"""

import asyncio
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import responses

import aiohttp

from examples.rendler import web
from examples.rendler.messages import Crawl, Crawled
from examples.rendler.public_only import PrivateAddressError, public_socket
from mesostic import Executor, TaskFailed, setting, task

TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be different next time (RFC 9110, section 15)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNDECODED = re.compile("[\udc80-\udcff]")
_MAX_ROBOTS_REDIRECTS = 5  # RFC 9309, section 2.3.1.2


class TemporaryError(Exception):
    """It did not work now, and may later; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes
    location: str = ""  # of a redirect
    too_large: bool = False  # the body was cut at the limit


class Fetcher:
    """Kept-alive connections to any number of hosts."""

    def __init__(self, user_agent: str, *, public_only: bool = False) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=32,
            ttl_dns_cache=300,
            family=socket.AF_UNSPEC,
            socket_factory=public_socket if public_only else None,
        )
        headers = {"User-Agent": user_agent, "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"}
        # Deadlines are the caller's; cookies would make one page depend on another.
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, url: str, *, max_bytes: int, wanted: Callable[[str], bool]) -> Answer:
        """Fetches a page, the body only where its content type is wanted; TemporaryError: the server cannot answer now."""
        async with self._session.get(url, allow_redirects=False) as response:
            content_type = _text(response.headers.get("Content-Type", ""))
            if response.status in TEMPORARY_STATUSES:
                raise TemporaryError(f"HTTP {response.status} {_text(response.reason or '')}".rstrip())
            if response.status in _REDIRECTS:
                return Answer(response.status, content_type, b"", location=_location(response))
            if response.status >= 400 or not wanted(content_type):
                return Answer(response.status, content_type, b"")
            if (response.content_length or 0) > max_bytes:
                response.close()
                return Answer(response.status, content_type, b"", too_large=True)
            body = await _body(response, max_bytes)
            too_large = len(body) > max_bytes
            return Answer(response.status, content_type, body[:max_bytes], too_large=too_large)

    async def robots(self, url: str) -> web.Rules:
        """Fetches a robots.txt, following a few redirects."""
        for _ in range(_MAX_ROBOTS_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    target = web.normalise(_location(response), url)
                    if target is None:
                        break
                    url = target
                    continue
                body = await _body(response, web.MAX_ROBOTS_BYTES) if response.status < 300 else b""
                return web.Rules.from_answer(response.status, body)
        return web.Rules(None)


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """What comes of it, to the end or a little beyond `most` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            break
    return bytes(body)


def _text(header: str) -> str:
    """A header as text: aiohttp hands on bytes that are not UTF-8 as surrogates; HTTP means Latin-1 by them."""
    return _UNDECODED.sub(lambda byte: chr(ord(byte[0]) - 0xDC00), header)


def _location(response: aiohttp.ClientResponse) -> str:
    """Where a redirect leads; bytes that are not UTF-8 are percent-encoded, as in a link."""
    location = response.headers.get("Location", "")
    return _UNDECODED.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", location)


PARSED_IN_A_THREAD = 256 * 1024
"""Bytes from which on a page is read in a thread, so that the others do not wait for it."""


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    """`[executors.crawl.settings]`."""

    timeout: float = setting(15.0, help="How long one page may take to come, in seconds.", unit="seconds")
    max_bytes: int = setting(5_000_000, help="Pages larger than this are not read to the end.", unit="bytes")
    user_agent: str = setting(
        "mesostic-rendler/0.1", help="Who asks; robots.txt is read for the part before the slash."
    )
    obey_robots: bool = setting(True, help="Whether robots.txt is obeyed.")


class CrawlExecutor(Executor):
    """Fetches pages over kept-alive connections."""

    Settings = CrawlSettings
    settings: CrawlSettings

    async def on_start(self) -> None:
        self._fetchers = {only: Fetcher(self.settings.user_agent, public_only=only) for only in (False, True)}
        self._rules: dict[str, tuple[float, asyncio.Future[web.Rules]]] = {}
        self._turns: dict[str, float] = {}
        self._robot = self.settings.user_agent.partition("/")[0]

    async def on_stop(self) -> None:
        for fetcher in self._fetchers.values():
            await fetcher.close()

    @task
    async def crawl(self, page: Crawl) -> Crawled:
        """Fetches one page; see `Crawled` for what is a result and not a failure."""
        started, fetcher = time.monotonic(), self._fetchers[page.public_only]
        try:
            async with asyncio.timeout(self.settings.timeout):
                rules = await self._rules_for(page.url, fetcher)
            delay = rules.crawl_delay(self._robot)
            if not rules.reachable:
                raise TemporaryError("robots.txt cannot be read now, so nothing may be fetched")
            if not rules.allows(page.url, self._robot):
                return Crawled(
                    page.url, None, error="not allowed by robots.txt", skipped=True, crawl_delay=delay
                )
            await self._wait_for_turn(page.url, max(page.delay, delay or 0.0))
            started = time.monotonic()
            async with asyncio.timeout(self.settings.timeout):
                answer = await fetcher.get(page.url, max_bytes=self.settings.max_bytes, wanted=web.is_html)
            return await self._read(page, answer, delay, time.monotonic() - started)
        except TimeoutError:
            raise TaskFailed(f"no answer within {self.settings.timeout:g} s", retry=True) from None
        except TemporaryError as error:
            raise TaskFailed(str(error), retry=True) from None
        except (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError) as error:
            raise TaskFailed(f"{type(error).__name__}: {error}", retry=False) from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(private := getattr(error, "os_error", error), PrivateAddressError):
                return Crawled(page.url, None, error=str(private), skipped=True)
            raise TaskFailed(str(error) or type(error).__name__, retry=True) from None

    async def _read(self, page: Crawl, answer: Answer, delay: float | None, seconds: float) -> Crawled:
        error, skipped, redirect, found = "", False, "", web.Page("", (), follow=True)
        if answer.location:
            redirect = web.normalise(answer.location, page.url) or ""
            if not redirect:
                error = f"redirects to {answer.location[:200]!r}, which is not a web page"
        elif answer.status >= 400:
            error = f"HTTP {answer.status} {responses.get(answer.status, '')}".rstrip()
        elif not web.is_html(answer.content_type):
            error, skipped = f"not HTML: {web.media_type(answer.content_type) or 'no content type'}", True
        elif answer.too_large:
            error, skipped = f"larger than {self.settings.max_bytes:,} bytes", True
        elif len(answer.body) > PARSED_IN_A_THREAD:
            found = await asyncio.to_thread(web.read_page, answer.body, answer.content_type, page.url)
        else:
            found = web.read_page(answer.body, answer.content_type, page.url)
        return Crawled(
            url=page.url,
            status=answer.status,
            content_type=web.media_type(answer.content_type),
            bytes=len(answer.body),
            title=found.title,
            links=found.links,
            follow=found.follow,
            redirect=redirect,
            error=error,
            skipped=skipped,
            crawl_delay=delay,
            seconds=seconds,
        )

    async def _rules_for(self, url: str, fetcher: Fetcher) -> web.Rules:
        """The rules of the page's site: fetched once however many pages ask, and believed for a while."""
        if not self.settings.obey_robots:
            return web.Rules(None)
        where = web.robots_url(url)
        known = self._rules.get(where)
        if known is not None and time.monotonic() - known[0] < web.BELIEVED_FOR:
            return await asyncio.shield(known[1])
        future: asyncio.Future[web.Rules] = asyncio.get_running_loop().create_future()
        self._rules[where] = (time.monotonic(), future)
        try:
            rules = await fetcher.robots(where)
        except BaseException as error:
            del self._rules[where]  # the next page asks again
            future.set_exception(
                TemporaryError(f"robots.txt was not read: {str(error) or type(error).__name__}")
            )
            future.exception()  # perhaps no task waits for it
            raise
        if not rules.reachable:
            del self._rules[where]
        future.set_result(rules)
        return rules

    async def _wait_for_turn(self, url: str, delay: float) -> None:
        """Keeps requests to a host apart, whatever the order in which their tasks were started."""
        if delay > 0:
            name, now = web.host(url), time.monotonic()
            turn = max(now, self._turns.get(name, now))
            self._turns[name] = turn + delay
            await asyncio.sleep(turn - now)
