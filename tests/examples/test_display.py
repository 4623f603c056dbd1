"""The display: what is said, and that nothing comes after the last words."""

from actors.settings import Composition, FrameworkSettings
from examples.rendler.display_actor import DisplayActor, DisplaySettings
from examples.rendler.messages import CrawlEnded, Progress
from tests.support.virtual import virtual


@virtual
async def _crawl(system):
    composition = Composition(FrameworkSettings())
    display = system.spawn(DisplayActor, composition, DisplaySettings("plain"), name="display")
    for seconds in (20.0, 40.0):
        display.tell(Progress(1, 0, 0, 0, 0, 0, 0, 0, 0, seconds))
    display.tell(CrawlEnded(("one page", "no failures")))
    display.tell(Progress(2, 0, 0, 0, 0, 0, 0, 0, 0, 80.0))
    await display.stop(block=False)


def test_no_progress_is_shown_after_the_summary(capsys):
    _crawl()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["one page", "no failures"]
    assert len(lines) == 4
