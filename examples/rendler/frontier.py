"""The crawl itself: which page next and when, what a result means, and when it is over. Pure: no actors, no I/O, no clock.

The scheduler asks for pages to visit, and reports the outcome of each. Everything is idempotent: a result that comes twice,
late, or for a page that was not asked for changes nothing, so redelivered updates do no harm.
"""

import hashlib
import itertools
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from examples.rendler.messages import Crawled, PageRecord, PageState, Rendered
from examples.rendler.web import host, is_on_this_machine, site


class Politeness:
    """The delay between two requests to one host, shared by everything that visits it.

    Hosts on this machine's loopback are asked without delay unless their robots.txt names one: there is no one to protect.
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
    """First come, first served, among the hosts that may be asked now; each host has a FIFO of its own.

    Attributes:
        under_way: The URLs that were taken, and have not ended.
    """

    def __init__(self, politeness: Politeness) -> None:
        self.under_way: set[str] = set()
        self._politeness = politeness
        self._urls: dict[str, deque[tuple[int, str]]] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return sum(map(len, self._urls.values()))

    def put(self, url: str) -> None:
        self._urls.setdefault(host(url), deque()).append((next(self._numbers), url))

    def take(self, now: float) -> str | None:
        """The oldest URL whose host may be asked now, or None; the visit is noted."""
        oldest = (
            (urls[0], name) for name, urls in self._urls.items() if self._politeness.free_at(name) <= now
        )
        (_, url), name = min(oldest, default=((0, None), ""))
        if url is not None:
            self._urls[name].popleft()
            if not self._urls[name]:
                del self._urls[name]
            self._politeness.visit(url, now)
            self.under_way.add(url)
        return url

    def end(self, url: str) -> bool:
        """Whether it was under way, as it is no longer."""
        was_under_way = url in self.under_way
        self.under_way.discard(url)
        return was_under_way

    def next_at(self, now: float) -> float | None:
        """When `take` will next have something: `now` or later; None where nothing is queued."""
        return min((max(now, self._politeness.free_at(name)) for name in self._urls), default=None)

    def clear(self) -> int:
        """Empties the queue; returns how many URLs it held."""
        dropped = len(self)
        self._urls.clear()
        return dropped


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


class Frontier:
    """The pages known, and the queues of those to crawl and to render."""

    def __init__(self, limits: Limits, *, delay: float = 0.0, render: bool = True) -> None:
        self.limits = limits
        self.counts = dict.fromkeys(("crawled", "failed", "skipped", "pictures", "pictures_failed"), 0)
        self.politeness = Politeness(delay)
        self.crawls = PoliteQueue(self.politeness)
        self.renders = PoliteQueue(self.politeness)
        self.pages: dict[str, PageRecord] = {}
        self.left_out: set[str] = set()
        self._render = render
        self._render_asked: set[str] = set()
        self._hops: dict[str, int] = {}
        self._sites: set[str] = set(limits.sites)
        self._is_stopped = False

    # --- what to do ---

    @property
    def is_done(self) -> bool:
        """Nothing queued, and nothing under way (staged, running or between two attempts)."""
        return not (self.crawls or self.crawls.under_way or self.renders or self.renders.under_way)

    def next_at(self, now: float) -> float | None:
        """When there will next be something to visit: `now` or later; None where nothing is queued."""
        times = (queue.next_at(now) for queue in (self.crawls, self.renders))
        return min((at for at in times if at is not None), default=None)

    def start(self, url: str) -> None:
        self._sites.add(site(url))
        self._discover(url, depth=0, parent="")

    def restore(self, records: Iterable[PageRecord]) -> int:
        """Takes over the pages of an earlier run, so that they are not visited again; returns how many.

        Pages that failed are tried once more, and pages that have no picture yet are queued for one.
        """
        done = [record for record in records if record.is_final and record.state is not PageState.FAILED]
        for record in done:
            self.pages.setdefault(record.url, record)
            if record.depth == 0:
                self._sites.add(site(record.url))
        for record in done:
            self._count(record.state)
            if record.picture:
                self.counts["pictures"] += 1
                self._render_asked.add(record.url)
            self._follow(record)
        return len(done)

    def next_crawl(self, now: float) -> PageRecord | None:
        """The next page to crawl, if one is due; it is under way from now on."""
        url = self.crawls.take(now)
        return None if url is None else self._store(replace(self.pages[url], state=PageState.CRAWLING))

    def next_render(self, now: float) -> PageRecord | None:
        """The next page to take a picture of, if one is due; it is under way from now on."""
        url = self.renders.take(now)
        return None if url is None else self.pages[url]

    def stop(self) -> int:
        """Empties both queues; what is under way is still waited for. Returns how many pages will not be crawled."""
        self._is_stopped = True
        self.renders.clear()
        return self.crawls.clear()

    def stop_rendering(self) -> None:
        self._render = False
        self.renders.clear()

    # --- outcomes: each gives the page's record, or None where it was known already ---

    def crawled(self, result: Crawled, *, attempts: int = 1) -> PageRecord | None:
        """A crawl task finished."""
        if not self.crawls.end(result.url):
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
        record = replace(self.pages[result.url], state=state, attempts=attempts, **read)
        record = self._follow(self._store(record))
        self._count(record.state)
        return record

    def crawl_failed(self, url: str, error: str, *, attempts: int) -> PageRecord | None:
        status = re.match(r"HTTP (\d{3})\b", error)
        result = Crawled(url, int(status[1]) if status else None, error=error or "no reason was given")
        return self.crawled(result, attempts=attempts)

    def rendered(self, result: Rendered, *, attempts: int = 1) -> PageRecord | None:
        """A picture was taken."""
        if not self.renders.end(result.url):
            return None
        self.counts["pictures"] += 1
        record = replace(self.pages[result.url], picture=result.picture, thumbnail=result.thumbnail)
        return self._store(replace(record, picture_attempts=attempts, picture_error=result.note))

    def render_failed(self, url: str, error: str, *, attempts: int) -> PageRecord | None:
        if not self.renders.end(url):
            return None
        self.counts["pictures_failed"] += 1
        return self._store(replace(self.pages[url], picture_attempts=attempts, picture_error=error))

    # --- inside ---

    def _store(self, record: PageRecord) -> PageRecord:
        self.pages[record.url] = record
        return record

    def _count(self, state: PageState) -> None:
        self.counts[state if state in {PageState.FAILED, PageState.SKIPPED} else "crawled"] += 1

    def _follow(self, record: PageRecord) -> PageRecord:
        if record.state is PageState.REDIRECT:
            return self._follow_redirect(record)
        if record.state is PageState.CRAWLED:
            if record.follow:
                for link in record.links:
                    self._discover(link, depth=record.depth + 1, parent=record.url)
            room = not self.limits.max_pictures or len(self._render_asked) < self.limits.max_pictures
            wanted = self._render and not self._is_stopped and record.url not in self._render_asked
            if wanted and room:
                self._render_asked.add(record.url)
                self.renders.put(record.url)
        return record

    def _follow_redirect(self, record: PageRecord) -> PageRecord:
        hops = self._hops.get(record.url, 0) + 1
        if hops > self.limits.max_redirects:
            error = f"more than {self.limits.max_redirects} redirects in a row"
            return self._store(replace(record, state=PageState.FAILED, error=error))
        if record.depth == 0:  # the seed has moved: its new site is the one to stay on
            self._sites.add(site(record.redirect))
        if record.redirect not in self.pages:
            self._hops[record.redirect] = hops
            self._discover(record.redirect, depth=record.depth, parent=record.url)
        return record

    def _discover(self, url: str, *, depth: int, parent: str) -> None:
        limits = self.limits
        if url in self.pages or not (limits.other_sites or site(url) in self._sites):
            return
        too_deep = limits.max_depth is not None and depth > limits.max_depth
        too_many = limits.max_pages and len(self.pages) >= limits.max_pages
        if too_deep or too_many or self._is_stopped:
            self.left_out.add(url)
            return
        self.pages[url] = PageRecord(url=url, depth=depth, parent=parent)
        self.crawls.put(url)


def picture_name(record: PageRecord) -> str:
    """A file name for a page's picture: readable, distinct, and the same in every run."""
    path = re.sub(r"\.x?html?$", "", urlsplit(record.url).path.strip("/")) or "index"
    readable = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:60].lower() or "page"
    return f"{readable}-{hashlib.sha256(record.url.encode()).hexdigest()[:8]}"
