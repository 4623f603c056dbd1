"""RENDLER's scheduler: two queues, crawl and render, drained first come first served at the rate of the offers.

What to do next is `Frontier`'s business, how a task gets its resources is the framework's; this actor stands between them.
A crawl and a render window bound what is asked of the offers at a time, so that a page found early is not overtaken and
memory stays bounded. Results arrive in acknowledged status updates, so none is lost; one that comes twice changes nothing.
"""

import os
from dataclasses import dataclass
from typing import Literal

from examples.rendler import messages as m
from examples.rendler import web
from examples.rendler.frontier import Frontier, Limits, picture_name
from examples.rendler.public_only import leads_to_private
from examples.rendler.render_executor import NO_CHROMIUM, ChromiumMissingError, find_chromium
from mesostic import (
    Registered,
    RetryPolicy,
    SchedulerActor,
    ShutdownRequested,
    TaskFailure,
    TaskFinished,
    Uploaded,
    message,
    receive,
    setting,
)

CRAWL_RETRY = RetryPolicy(attempts=5, backoff=1.0)
RENDER_RETRY = RetryPolicy(attempts=5, backoff=2.0)


@dataclass(frozen=True, slots=True)
class RendlerSettings:
    """What RENDLER can be told."""

    seed: str = setting("", help="The address to start from.")
    output: str = setting("results/rendler", help="The folder for the results.", unit="path")
    render: bool | Literal["auto"] = setting(
        "auto", help='Whether to take pictures; "auto": if there is a Chromium on this machine.'
    )
    resume: bool = setting(False, help="Whether to continue from the pages.jsonl in the output folder.")

    max_pages: int = setting(2_000, help="Pages to visit at most; 0: no limit.")
    max_depth: int | None = setting(
        None, help="Links to follow away from the seed at most; not set: no limit."
    )
    max_pictures: int = setting(0, help="Pictures to take at most; 0: no limit.")
    other_sites: bool = setting(False, help="Whether links to other sites are followed.")
    sites: tuple[str, ...] = setting((), help="Hosts that belong to the site too, beside the seed's.")
    private_addresses: bool | Literal["auto"] = setting(
        "auto",
        help='Whether pages may lead to addresses of this machine and its network; "auto": if the seed is on one.',
    )
    delay: float = setting(
        0.25, help="Time between two requests to one host; hosts on this machine are exempt.", unit="seconds"
    )

    crawling: int = setting(64, help="Pages being crawled at the same time, at most.")
    rendering: int = setting(4, help="Pages being rendered at the same time, at most.")
    crawl_cpus: float = setting(0.02, help="CPUs of a crawl task.")
    crawl_mem: float = setting(8.0, help="Memory of a crawl task.", unit="MB")
    render_cpus: float = setting(0.5, help="CPUs of a render task.")
    render_mem: float = setting(128.0, help="Memory of a render task.", unit="MB")
    crawl_retry: RetryPolicy = setting(CRAWL_RETRY, help="When a page is fetched again.")
    render_retry: RetryPolicy = setting(RENDER_RETRY, help="When a picture is tried again.")
    ending_timeout: float = setting(
        3.0, help="How long Ctrl-C waits for the tasks that are under way.", unit="seconds"
    )

    def __post_init__(self) -> None:
        """Refuses what cannot work, in a sentence for the user (ValueError)."""
        web.seed(self.seed)
        if self.crawling < 1 or self.rendering < 1:
            raise ValueError("crawling and rendering must be at least 1")
        if min(self.max_pages, self.max_pictures, self.delay, self.max_depth or 0) < 0:
            raise ValueError("max_pages, max_pictures, max_depth and delay must not be negative")


PROGRESS_EVERY = 0.25
"""Seconds between two looks at where the crawl stands."""


@message
class Wake:
    """A host may be asked again."""


@message
class Tick:
    """Time to show progress."""


@message
class GiveUpWaiting:
    """The tasks under way have had their time to end."""


class RendlerScheduler(SchedulerActor):
    """Crawls a site and takes a picture of each page."""

    Settings = RendlerSettings
    settings: RendlerSettings

    def on_start(self) -> None:
        super().on_start()
        settings = self.settings
        self._seed = web.seed(settings.seed)
        self._renders, self._render_note = settings.render is True, ""
        if settings.render == "auto":
            try:
                self._renders = bool(find_chromium())
            except ChromiumMissingError as error:
                self._render_note = f"crawling without pictures: {error}"
        limits = Limits(
            max_pages=settings.max_pages,
            max_depth=settings.max_depth,
            max_pictures=settings.max_pictures,
            other_sites=settings.other_sites,
            sites=settings.sites,
        )
        self._frontier = Frontier(limits, delay=settings.delay, render=self._renders)
        self._started_at: float | None = None
        self._ended_by = ""
        self._is_writing = False
        self._left = 0
        self._latest = ""
        self._wakes_at = float("inf")
        self._crawl_seconds = 0.0
        self._earlier = 0

    # --- the beginning ---

    def on_registered(self, event: Registered) -> None:
        if self._started_at is not None:
            return
        self._started_at = self.clock.now()
        for other in ("display", "results"):
            self.tell(other, m.CrawlStarted(self._seed, self.settings.output, self._renders))
        if self._render_note:
            self.tell("display", m.Note(self._render_note))
        if self._renders and hasattr(os, "geteuid") and os.geteuid() == 0:
            warning = "this runs as root, for whom Chromium has no sandbox: another user is safer"
            self.tell("display", m.Note(warning))
        self.timers.every(PROGRESS_EVERY, Tick())
        if self.settings.resume:
            self.tell("results", m.LoadResults(self.settings.output))
        else:
            self._begin()

    def on_reregistered(self, event: Registered) -> None:
        """With a durable store the queues are not kept: they are set out again, from the results of the earlier run."""
        self.on_registered(event)

    @receive
    def handle_results_loaded(self, loaded: m.ResultsLoaded) -> None:
        """An earlier run's pages need not be visited again."""
        known = self._earlier = self._frontier.restore(loaded.pages)
        if known:
            self.tell("display", m.Note(f"continuing after {known:,} pages of an earlier run"))
        self._begin()

    def _begin(self) -> None:
        allowed = self.settings.private_addresses
        self._public_only = not (leads_to_private(self._seed) if allowed == "auto" else allowed)
        self._frontier.start(self._seed)
        self._pump()

    # --- the queues ---

    def _pump(self) -> None:
        """Launches what fits into the windows, and ends when there is nothing left to do."""
        if self._is_writing or self._started_at is None:
            return
        frontier, settings, now = self._frontier, self.settings, self.clock.now()
        while len(frontier.crawls.under_way) < settings.crawling and (page := frontier.next_crawl(now)):
            self.launch(
                m.Crawl(page.url, page.depth, frontier.politeness.delay(page.url), self._public_only),
                executor="crawl",
                name=f"crawl {page.url}",
                cpus=settings.crawl_cpus,
                mem=settings.crawl_mem,
                retry=settings.crawl_retry,
            )
        while len(frontier.renders.under_way) < settings.rendering and (page := frontier.next_render(now)):
            self.launch(
                m.Render(page.url, picture_name(page), self._public_only),
                executor="render",
                name=f"render {page.url}",
                cpus=settings.render_cpus,
                mem=settings.render_mem,
                retry=settings.render_retry,
            )
        if frontier.is_done:
            self._write_results()
        else:
            at = frontier.next_at(now)
            if at is not None and now < at < self._wakes_at:
                self._wakes_at = at
                self.timers.after(at - now, Wake())

    @receive
    def handle_wake(self, wake: Wake) -> None:
        self._wakes_at = float("inf")
        self._pump()

    # --- outcomes ---

    def on_task_finished(self, done: TaskFinished) -> None:
        if isinstance(done.result, m.Crawled):
            self._page_crawled(self._frontier.crawled(done.result, attempts=done.attempts))
        elif isinstance(done.result, m.Rendered):
            self._page_changed(self._frontier.rendered(done.result, attempts=done.attempts))
        elif isinstance(done.payload, (m.Crawl, m.Render)):
            self._task_failed(done.payload, "the executor's answer could not be read", done.attempts)

    def on_task_failed(self, failed: TaskFailure) -> None:
        if isinstance(failed.payload, (m.Crawl, m.Render)):
            self._task_failed(failed.payload, failed.message or failed.reason, failed.attempts)

    def on_task_killed(self, killed: TaskFailure) -> None:
        self.on_task_failed(killed)

    def _task_failed(self, payload: m.Crawl | m.Render, error: str, attempts: int) -> None:
        if isinstance(payload, m.Crawl):
            self._page_crawled(self._frontier.crawl_failed(payload.url, error, attempts=attempts))
            return
        if error.startswith(NO_CHROMIUM) and self._renders:
            self._renders = False
            self._frontier.stop_rendering()
            self.tell("display", m.Note(f"continuing without pictures: {error.removeprefix(NO_CHROMIUM)}"))
        self._page_changed(self._frontier.render_failed(payload.url, error, attempts=attempts))

    def on_uploaded(self, upload: Uploaded) -> None:
        self.tell("results", m.PictureArrived(upload.name, upload.path))

    def _page_crawled(self, page: m.PageRecord | None) -> None:
        self._crawl_seconds = self._seconds()
        self._page_changed(page)

    def _page_changed(self, page: m.PageRecord | None) -> None:
        if page is not None:
            self._latest = page.url
            self.tell("results", m.PageChanged(page))
        self._pump()

    # --- progress, and the end ---

    @receive
    def handle_tick(self, tick: Tick) -> None:
        frontier = self._frontier
        progress = m.Progress(
            **frontier.counts,
            crawl_queue=len(frontier.crawls),
            crawling=len(frontier.crawls.under_way),
            render_queue=len(frontier.renders),
            rendering=len(frontier.renders.under_way),
            seconds=self._seconds(),
            latest=self._latest,
            phase="writing the results" if self._is_writing else "ending" if self._ended_by else "crawling",
        )
        self.tell("display", progress)

    def on_shutdown_requested(self, request: ShutdownRequested) -> None:
        """Ctrl-C: nothing new is started, what is under way gets a moment, and what is there is written."""
        if self._ended_by:
            return
        self._ended_by = request.reason
        self._left = self._frontier.stop()
        self.timers.after(self.settings.ending_timeout, GiveUpWaiting())
        self._pump() if self._started_at is not None else self.finish(0)

    @receive
    def handle_give_up_waiting(self, message: GiveUpWaiting) -> None:
        """Some task does not end: the results are written without it."""
        self._write_results()

    def _write_results(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            reason = f"ended early ({self._ended_by})" if self._ended_by else ""
            queued = self._left + len(self._frontier.crawls.under_way) + len(self._frontier.left_out)
            self.tell(
                "results", m.WriteResults(reason, queued, self._seconds(), self._crawl_seconds, self._earlier)
            )

    @receive
    def handle_results_written(self, written: m.ResultsWritten) -> None:
        """Everything is on disk: the framework ends. It failed if not even the seed could be fetched."""
        self.tell("display", m.CrawlEnded(written.summary))
        seed = self._frontier.pages.get(self._seed)
        if self._frontier.counts["crawled"] == 0 and not self._ended_by and seed is not None:
            self.finish(1, f"not even the seed could be crawled: {seed.error}")
        else:
            self.finish(0)

    def _seconds(self) -> float:
        return 0.0 if self._started_at is None else self.clock.now() - self._started_at
