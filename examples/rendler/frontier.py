"""The crawl itself: which page next and when, what a result means, and when it is over. Pure: no actors, no I/O, no clock.

The scheduler asks for pages to visit, and reports the outcome of each. Everything is idempotent: a result that comes twice,
late, or for a page that was not asked for changes nothing, so redelivered updates do no harm.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from examples.rendler.messages import Crawled, Rendered
from examples.rendler.pages import PageRecord, PageState
from examples.rendler.urls import host, is_on_this_machine, site


class Politeness:
    """The delay between two requests to one host, shared by everything that visits it.

    Hosts on this machine's loopback are asked without delay unless their robots.txt names one: there is no one to
    protect.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._asked_for: dict[str, float] = {}
        self._free_at: dict[str, float] = {}

    def ask_for(self, url: str, delay: float) -> None:
        """A site's own wish (Crawl-delay in robots.txt); the longer of the two delays is kept to."""
        self._asked_for[host(url)] = delay

    def delay(self, url: str) -> float:
        asked_for = self._asked_for.get(host(url), 0.0)
        return asked_for if is_on_this_machine(url) else max(self._delay, asked_for)

    def free_at(self, name: str) -> float:
        return self._free_at.get(name, float("-inf"))

    def visit(self, url: str, now: float) -> None:
        self._free_at[host(url)] = now + self.delay(url)


class PoliteQueue:
    """First come, first served, among the hosts that may be asked now.

    Each host has a FIFO of its own. Hosts whose turn has come are ordered by the age of their oldest URL, the others by
    when their turn comes; so taking costs O(log hosts), however many URLs wait.
    """

    def __init__(self, politeness: Politeness) -> None:
        self._politeness = politeness
        self._urls: dict[str, deque[tuple[int, str]]] = {}
        self._ready: list[tuple[int, str]] = []
        self._waiting: list[tuple[float, str]] = []
        self._sequence = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, url: str) -> None:
        name = host(url)
        self._sequence += 1
        self._length += 1
        urls = self._urls.get(name)
        if urls is None:
            self._urls[name] = deque([(self._sequence, url)])
            heapq.heappush(self._ready, (self._sequence, name))
        else:
            urls.append((self._sequence, url))

    def take(self, now: float) -> str | None:
        """The oldest URL whose host may be asked now, or None; the visit is noted."""
        while self._waiting and self._waiting[0][0] <= now:
            _, name = heapq.heappop(self._waiting)
            heapq.heappush(self._ready, (self._urls[name][0][0], name))
        while self._ready:
            _, name = heapq.heappop(self._ready)
            if self._politeness.free_at(name) > now:  # another queue visited the host meanwhile
                self._push(name, now)
                continue
            urls = self._urls[name]
            _, url = urls.popleft()
            self._length -= 1
            self._politeness.visit(url, now)
            if urls:
                self._push(name, now)
            else:
                del self._urls[name]
            return url
        return None

    def next_at(self, now: float) -> float | None:
        """When `take` will next have something: `now` or later; None where nothing is queued."""
        times = [max(now, self._politeness.free_at(name)) for _, name in self._ready]
        if self._waiting:
            times.append(max(now, self._waiting[0][0]))
        return min(times, default=None)

    def clear(self) -> int:
        """Empties the queue; returns how many URLs it held."""
        dropped = self._length
        self._urls.clear()
        self._ready.clear()
        self._waiting.clear()
        self._length = 0
        return dropped

    def _push(self, name: str, now: float) -> None:
        free_at = self._politeness.free_at(name)
        if free_at > now:
            heapq.heappush(self._waiting, (free_at, name))
        else:
            heapq.heappush(self._ready, (self._urls[name][0][0], name))


_READ = ("status", "content_type", "bytes", "title", "links", "follow", "redirect", "seconds", "error")
"""What a crawl task tells of a page, by the names of `Crawled` and of `PageRecord`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a crawl stops. Zero means no limit, but for `max_depth`, where None does."""

    max_pages: int = 0
    max_depth: int | None = None
    max_pictures: int = 0
    max_redirects: int = 10
    other_sites: bool = False
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a crawl stands."""

    crawled: int = 0
    failed: int = 0
    skipped: int = 0
    pictures: int = 0
    pictures_failed: int = 0


class Frontier:
    """The pages known, the two queues, and what is under way."""

    def __init__(self, limits: Limits, *, delay: float = 0.0, render: bool = True) -> None:
        self.limits = limits
        self.politeness = Politeness(delay)
        self._render = render
        self._crawl_queue = PoliteQueue(self.politeness)
        self._render_queue = PoliteQueue(self.politeness)
        self._pages: dict[str, PageRecord] = {}
        self._hops: dict[str, int] = {}
        self._crawling: set[str] = set()
        self._rendering: set[str] = set()
        self._render_asked: set[str] = set()
        self._sites: set[str] = set(limits.sites)
        self._counts = dict.fromkeys(("crawled", "failed", "skipped", "pictures", "pictures_failed"), 0)
        self._left_out: set[str] = set()
        self._is_stopped = False

    # --- questions ---

    @property
    def counts(self) -> Counts:
        return Counts(**self._counts)

    @property
    def queued(self) -> tuple[int, int]:
        return len(self._crawl_queue), len(self._render_queue)

    @property
    def under_way(self) -> tuple[int, int]:
        return len(self._crawling), len(self._rendering)

    @property
    def is_done(self) -> bool:
        """Nothing queued, and nothing under way (staged, running or between two attempts)."""
        return not (self._crawling or self._rendering or len(self._crawl_queue) or len(self._render_queue))

    @property
    def left_out(self) -> int:
        return len(self._left_out)

    def page(self, url: str) -> PageRecord | None:
        return self._pages.get(url)

    def next_at(self, now: float) -> float | None:
        """When there will next be something to visit: `now` or later; None where nothing is queued."""
        times = [
            at for at in (self._crawl_queue.next_at(now), self._render_queue.next_at(now)) if at is not None
        ]
        return min(times, default=None)

    # --- what to do ---

    def start(self, url: str) -> None:
        self._sites.add(site(url))
        self._discover(url, depth=0, parent="")

    def restore(self, records: Iterable[PageRecord]) -> int:
        """Takes over the pages of an earlier run, so that they are not visited again; returns how many.

        Pages that failed are tried once more, and pages that have no picture yet are queued for one.
        """
        done = [record for record in records if record.is_final and record.state is not PageState.FAILED]
        for record in done:
            self._pages.setdefault(record.url, record)
            if record.depth == 0:
                self._sites.add(site(record.url))
        for record in done:
            self._count(record.state)
            if record.picture:
                self._counts["pictures"] += 1
                self._render_asked.add(record.url)
            self._follow(record)
        return len(done)

    def next_crawl(self, now: float) -> PageRecord | None:
        """The next page to crawl, if one is due; it is under way from now on."""
        url = self._crawl_queue.take(now)
        if url is None:
            return None
        self._crawling.add(url)
        return self._store(replace(self._pages[url], state=PageState.CRAWLING))

    def next_render(self, now: float) -> PageRecord | None:
        """The next page to take a picture of, if one is due; it is under way from now on."""
        url = self._render_queue.take(now)
        if url is None:
            return None
        self._rendering.add(url)
        return self._pages[url]

    def stop(self) -> int:
        """Empties both queues; what is under way is still waited for. Returns how many pages will not be crawled."""
        self._is_stopped = True
        self._render_queue.clear()
        return self._crawl_queue.clear()

    def stop_rendering(self) -> None:
        self._render = False
        self._render_queue.clear()

    # --- outcomes ---

    def crawled(self, result: Crawled, *, attempts: int = 1) -> PageRecord | None:
        """A crawl task finished. Returns the page's record, or None where that was known already."""
        record = self._end_crawl(result.url)
        if record is None:
            return None
        if result.crawl_delay is not None:
            self.politeness.ask_for(result.url, result.crawl_delay)
        state = (
            PageState.REDIRECT if result.redirect
            else PageState.SKIPPED if result.skipped
            else PageState.FAILED if result.error
            else PageState.CRAWLED
        )  # fmt: skip
        read = {name: getattr(result, name) for name in _READ}
        record = self._store(replace(record, state=state, attempts=attempts, **read))
        record = self._follow(record)
        self._count(record.state)
        return record

    def crawl_failed(self, url: str, error: str, *, attempts: int) -> PageRecord | None:
        record = self._end_crawl(url)
        if record is None:
            return None
        status = re.match(r"HTTP (\d{3})\b", error)
        self._count(PageState.FAILED)
        return self._store(
            replace(
                record,
                state=PageState.FAILED,
                status=int(status[1]) if status else None,
                attempts=attempts,
                error=error,
            )
        )

    def rendered(self, result: Rendered, *, attempts: int = 1) -> PageRecord | None:
        """A picture was taken. Returns the page's record, or None where that was known already."""
        if result.url not in self._rendering:
            return None
        self._rendering.discard(result.url)
        self._counts["pictures"] += 1
        return self._store(
            replace(
                self._pages[result.url],
                picture=result.picture,
                thumbnail=result.thumbnail,
                picture_attempts=attempts,
                picture_error=result.note,
            )
        )

    def render_failed(self, url: str, error: str, *, attempts: int) -> PageRecord | None:
        if url not in self._rendering:
            return None
        self._rendering.discard(url)
        self._counts["pictures_failed"] += 1
        return self._store(replace(self._pages[url], picture_attempts=attempts, picture_error=error))

    # --- inside ---

    def _store(self, record: PageRecord) -> PageRecord:
        self._pages[record.url] = record
        return record

    def _count(self, state: PageState) -> None:
        ended = state if state in {PageState.FAILED, PageState.SKIPPED} else PageState.CRAWLED
        self._counts[ended.value] += 1

    def _end_crawl(self, url: str) -> PageRecord | None:
        if url not in self._crawling:
            return None
        self._crawling.discard(url)
        return self._pages[url]

    def _follow(self, record: PageRecord) -> PageRecord:
        if record.state is PageState.REDIRECT:
            return self._follow_redirect(record)
        if record.state is PageState.CRAWLED:
            if record.follow:
                for link in record.links:
                    self._discover(link, depth=record.depth + 1, parent=record.url)
            if self._render and record.url not in self._render_asked and self._has_room_for_pictures():
                self._render_asked.add(record.url)
                self._render_queue.put(record.url)
        return record

    def _follow_redirect(self, record: PageRecord) -> PageRecord:
        hops = self._hops.get(record.url, 0) + 1
        if hops > self.limits.max_redirects:
            error = f"more than {self.limits.max_redirects} redirects in a row"
            return self._store(replace(record, state=PageState.FAILED, error=error))
        if record.depth == 0:  # the seed has moved: its new site is the one to stay on
            self._sites.add(site(record.redirect))
        if record.redirect not in self._pages:
            self._hops[record.redirect] = hops
            self._discover(record.redirect, depth=record.depth, parent=record.url)
        return record

    def _has_room_for_pictures(self) -> bool:
        if self._is_stopped:
            return False
        return not self.limits.max_pictures or len(self._render_asked) < self.limits.max_pictures

    def _discover(self, url: str, *, depth: int, parent: str) -> None:
        if url in self._pages:
            return
        limits = self.limits
        if not limits.other_sites and site(url) not in self._sites:
            return
        if limits.max_depth is not None and depth > limits.max_depth:
            self._left_out.add(url)
            return
        if self._is_stopped or (limits.max_pages and len(self._pages) >= limits.max_pages):
            self._left_out.add(url)
            return
        self._pages[url] = PageRecord(url=url, depth=depth, parent=parent)
        self._crawl_queue.put(url)


def picture_name(record: PageRecord) -> str:
    """A file name for a page's picture: readable, distinct, and the same in every run."""
    parts = urlsplit(record.url)
    path = re.sub(r"\.x?html?$", "", parts.path.strip("/")) or "index"
    readable = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:60].lower() or "page"
    return f"{readable}-{hashlib.sha256(record.url.encode()).hexdigest()[:8]}"
