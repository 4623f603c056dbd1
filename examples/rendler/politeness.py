"""When a host may be asked again, and queues that keep to it. Pure: the time comes in as an argument."""

from __future__ import annotations

import heapq
from collections import deque

from examples.rendler.urls import host, is_on_this_machine


class Politeness:
    """The delay between two requests to one host, shared by everything that visits it.

    Hosts on this machine's loopback are asked without delay unless their robots.txt names one: nobody is protected by
    waiting for oneself.
    """

    def __init__(self, delay: float) -> None:
        """Args: delay: Seconds between the starts of two requests to a host."""
        self._delay = delay
        self._asked_for: dict[str, float] = {}
        self._free_at: dict[str, float] = {}

    def ask_for(self, url: str, delay: float) -> None:
        """A site's own wish (Crawl-delay in robots.txt); the longer of the two delays is kept to."""
        self._asked_for[host(url)] = delay

    def delay(self, url: str) -> float:
        """Seconds between two requests to this URL's host."""
        asked_for = self._asked_for.get(host(url), 0.0)
        return asked_for if is_on_this_machine(url) else max(self._delay, asked_for)

    def free_at(self, name: str) -> float:
        """When the next request to a host may start."""
        return self._free_at.get(name, float("-inf"))

    def visit(self, url: str, now: float) -> None:
        """A request starts now."""
        self._free_at[host(url)] = now + self.delay(url)


class PoliteQueue:
    """First come, first served, among the hosts that may be asked now.

    Each host has a FIFO of its own. Hosts whose turn has come are ordered by the age of their oldest URL, the others by
    when their turn comes; so taking costs O(log hosts), however many URLs wait.
    """

    def __init__(self, politeness: Politeness) -> None:
        """Args: politeness: Shared with every other queue that visits the same hosts."""
        self._politeness = politeness
        self._urls: dict[str, deque[tuple[int, str]]] = {}
        self._ready: list[tuple[int, str]] = []
        self._waiting: list[tuple[float, str]] = []
        self._sequence = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, url: str) -> None:
        """Adds a URL at the end."""
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
            free_at = self._politeness.free_at(name)
            if free_at > now:  # another queue visited the host meanwhile
                heapq.heappush(self._waiting, (free_at, name))
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
