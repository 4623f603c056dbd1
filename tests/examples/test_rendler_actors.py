"""RENDLER's actors in virtual time: the scheduler on a cluster that answers by itself, the results on a disk."""

from dataclasses import replace
from typing import Any

import pytest

from actors.runtime.testing import run_virtual
from examples.rendler.messages import (
    Crawl,
    Crawled,
    CrawlEnded,
    CrawlStarted,
    LoadResults,
    Note,
    PageChanged,
    PageRecord,
    PageState,
    PictureArrived,
    Progress,
    Render,
    Rendered,
    ResultsLoaded,
    ResultsWritten,
    WriteResults,
)
from examples.rendler.render_executor import NO_CHROMIUM
from examples.rendler.results_actor import ResultsActor, from_lines, to_line
from examples.rendler.scheduler import RendlerScheduler, RendlerSettings
from mesos_v1.values import FrameworkId
from mesostic import (
    Actor,
    ActorSystem,
    Composition,
    FrameworkSettings,
    NoSettings,
    Registered,
    ShutdownRequested,
    TaskFailure,
    TaskFinished,
    TaskId,
    message,
    receive,
)

SEED = "http://s.example/"
COMPOSITION = Composition(FrameworkSettings(), (), ())
SETTINGS = RendlerSettings(seed=SEED, delay=0.0, render=False)
TASK_SECONDS = 0.5


@message
class Go:
    """The master has taken the framework in."""


@message
class Answer:
    """A task of the pretended cluster ends."""

    result: Crawled | Rendered | None
    payload: Crawl | Render
    error: str = ""


class OnAPretendedCluster(RendlerScheduler):
    """Each task ends after half a second; what came of it, `web` says: links, an error, or nothing (it never ends)."""

    def __init__(self, settings, web):
        super().__init__(COMPOSITION, settings)
        self.web = web
        self.launched = []
        self.ended = None

    def launch(self, payload=None, **options):
        self.launched.append((self.clock.now(), payload))
        answer = self.web.get(payload.url, ()) if isinstance(payload, Crawl) else self.web.get("picture", "")
        if answer is None:
            return
        if isinstance(payload, Render):
            result: Any = None if answer else Rendered(payload.url, f"{payload.name}.png", "")
        else:
            result = None if isinstance(answer, str) else Crawled(payload.url, 200, links=answer)
        self.timers.after(TASK_SECONDS, Answer(result, payload, answer if isinstance(answer, str) else ""))
        return

    def finish(self, exit_code=0, reason="finished"):
        self.ended = (self.clock.now(), exit_code, reason)

    @receive
    def on_go(self, go: Go) -> None:
        self.on_registered(Registered(FrameworkId("f"), None))

    @receive
    def on_answer(self, answer: Answer) -> None:
        from actors.runtime import pack

        payload = pack(answer.payload)
        if answer.result is not None:
            self.on_task_finished(
                TaskFinished(TaskId("t"), "t", 1, payload, pack(answer.result), "crawl", None, None)
            )
        else:
            self.on_task_failed(
                TaskFailure(
                    TaskId("t"), "t", 5, payload, "crawl", "TASK_FAILED", "", answer.error, None, None
                )
            )


class Collector(Actor):
    """Stands in for results and display, and answers as results does."""

    def __init__(self):
        super().__init__()
        self.got = []

    @receive
    def on_any(
        self,
        got: Note
        | Progress
        | PageChanged
        | CrawlStarted
        | CrawlEnded
        | PictureArrived
        | ResultsLoaded
        | ResultsWritten,
    ) -> None:
        self.got.append(got)

    @receive
    def on_write(self, write: WriteResults) -> None:
        self.got.append(write)
        self.tell("scheduler", ResultsWritten(("done",)))


def crawl(web, settings=SETTINGS, *, seconds=60.0, interrupt_at=None):
    """Runs a crawl in virtual time; returns the scheduler, and what the other actors were told."""
    import asyncio

    async def run():
        async with ActorSystem("test") as system:
            system.spawn(Collector, name="framework")
            told = system.spawn(Collector, name="results")
            system.spawn(Collector, name="display")
            scheduler = system.spawn(OnAPretendedCluster, settings, web, name="scheduler")
            scheduler.tell(Go())
            if interrupt_at is not None:
                await asyncio.sleep(interrupt_at)
                scheduler.tell(ShutdownRequested("Ctrl-C"))
            await asyncio.sleep(seconds)
            proxy, collected = scheduler.proxy(), told.proxy()
            return await proxy.launched, await proxy.ended, await collected.got

    return run_virtual(run())


def test_pages_are_crawled_first_come_first_served_and_it_ends_by_itself():
    launched, ended, told = crawl({SEED: (SEED + "a", SEED + "b"), SEED + "a": (SEED + "c",)})
    assert [payload.url.removeprefix(SEED) for _, payload in launched] == ["", "a", "b", "c"]
    assert ended == (pytest.approx(launched[0][0] + 3 * TASK_SECONDS), 0, "finished")
    assert sum(isinstance(each, PageChanged) for each in told) == 4


def test_requests_to_a_host_keep_their_distance():
    launched, _, _ = crawl({SEED: (SEED + "a", SEED + "b")}, replace(SETTINGS, delay=2.0))
    times = [when - launched[0][0] for when, _ in launched]
    assert times == pytest.approx([0.0, 2.0, 4.0])


def test_a_window_bounds_what_is_asked_of_the_offers():
    links = tuple(f"{SEED}{n}" for n in range(10))
    launched, _, _ = crawl({SEED: links}, replace(SETTINGS, crawling=4))
    times = [round(when - launched[0][0], 3) for when, _ in launched]
    assert times == [0.0, *[0.5] * 4, *[1.0] * 4, *[1.5] * 2]


def test_a_failed_page_stops_nothing():
    _, ended, told = crawl({SEED: (SEED + "a", SEED + "b"), SEED + "a": "HTTP 503"})
    states = {each.page.url: each.page.state for each in told if isinstance(each, PageChanged)}
    assert states == {SEED: "crawled", SEED + "a": "failed", SEED + "b": "crawled"}
    assert ended[1] == 0


def test_a_seed_that_fails_fails_the_framework_with_a_reason():
    _, ended, _ = crawl({SEED: "no answer within 15 s"})
    assert ended[1:] == (1, "not even the seed could be crawled: no answer within 15 s")


def test_pages_are_rendered_after_they_were_crawled():
    launched, _, told = crawl({SEED: (SEED + "a",)}, replace(SETTINGS, render=True))
    assert [type(payload) for _, payload in launched] == [Crawl, Crawl, Render, Render]
    assert sum(bool(each.page.picture) for each in told if isinstance(each, PageChanged)) == 2


def test_without_a_browser_it_says_so_and_goes_on_without_pictures():
    web = {SEED: tuple(f"{SEED}{n}" for n in range(20)), "picture": f"{NO_CHROMIUM}install one"}
    launched, ended, _ = crawl(web, replace(SETTINGS, render=True, rendering=2))
    assert sum(isinstance(payload, Render) for _, payload in launched) <= 3
    assert sum(isinstance(payload, Crawl) for _, payload in launched) == 21
    assert ended[1] == 0


def test_ctrl_c_waits_a_moment_for_what_is_under_way():
    web = {SEED: (SEED + "a", SEED + "b"), SEED + "a": None}
    launched, ended, told = crawl(web, replace(SETTINGS, crawling=1), interrupt_at=0.8)
    assert len(launched) == 2, "nothing new is started"
    assert ended[0] - launched[0][0] == pytest.approx(0.8 + SETTINGS.ending_timeout)
    (write,) = [each for each in told if isinstance(each, WriteResults)]
    assert write.reason == "ended early (Ctrl-C)"
    assert write.queued == 2


def test_ctrl_c_ends_at_once_where_nothing_is_under_way():
    web = {SEED: (SEED + "a",)}
    launched, ended, _ = crawl(web, replace(SETTINGS, delay=5.0), interrupt_at=1.0)
    assert ended[0] - launched[0][0] == pytest.approx(1.0)


def results(tmp_path, *told, before=()):
    """Tells a results actor some things, and returns what it told the scheduler."""

    async def run():
        async with ActorSystem("test") as system:
            scheduler = system.spawn(Collector, name="scheduler")
            actor = system.spawn(ResultsActor, COMPOSITION, NoSettings(), name="results")
            for each in told:
                await actor.ask(each, block=False)
            return await scheduler.proxy().got

    (tmp_path / "images").mkdir(exist_ok=True)
    (tmp_path / "pages.jsonl").write_text("".join(map(to_line, before)))
    return run_virtual(run())


PAGE = PageRecord(SEED, PageState.CRAWLED, title="Seed", picture="new.png", thumbnail="new.jpg")


def test_results_are_written_and_the_summary_names_them(tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(b"picture")
    (written,) = results(
        tmp_path,
        CrawlStarted(SEED, str(tmp_path), True),
        PageChanged(replace(PAGE, picture="")),
        PictureArrived("new.png", str(upload)),
        PageChanged(PAGE),
        WriteResults(seconds=1.0),
    )
    with (tmp_path / "pages.jsonl").open() as lines:
        assert from_lines(lines) == [PAGE]
    assert (tmp_path / "images" / "new.png").read_bytes() == b"picture"
    for name in ("index.html", "result.dot", "pages.jsonl"):
        assert (tmp_path / name).is_file()
        assert any(line.split()[0] == name for line in written.summary if line.startswith("  "))


def test_pictures_of_an_earlier_crawl_are_removed_and_others_left_alone(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("old.png", "new.png", "mine.png"):
        (tmp_path / "images" / name).write_bytes(b"x")
    earlier = (replace(PAGE, picture="old.png"), replace(PAGE, url=SEED + "x", picture="../../etc/passwd"))
    results(
        tmp_path, CrawlStarted(SEED, str(tmp_path), True), PageChanged(PAGE), WriteResults(), before=earlier
    )
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["mine.png", "new.png"]


def test_an_earlier_crawl_is_loaded(tmp_path):
    (loaded,) = results(tmp_path, LoadResults(str(tmp_path)), before=(PAGE,))
    assert loaded == ResultsLoaded((PAGE,))


def test_a_disk_that_cannot_be_written_is_told_not_raised(tmp_path):
    (tmp_path / "index.html").mkdir()
    (written,) = results(tmp_path, CrawlStarted(SEED, str(tmp_path), True), PageChanged(PAGE), WriteResults())
    assert "could not be written" in written.summary[0]
