"""The display: what is said, and that nothing comes after the last words."""

from actors.framework_settings import Composition, FrameworkSettings
from examples.rendler.display_actor import DisplayActor, DisplaySettings
from examples.rendler.messages import CrawlEnded, Note, Progress
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


def test_what_a_server_says_does_not_command_the_terminal(capsys):
    evil = "failed: http://h/: 503 \x1b]0;mine\x07\x9b31m\r\u202e"

    @virtual
    async def crawl(system):
        display = system.spawn(
            DisplayActor, Composition(FrameworkSettings()), DisplaySettings("plain"), name="display"
        )
        display.tell(Note(evil))
        display.tell(CrawlEnded(("one page", evil)))
        await display.stop(block=False)

    crawl()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
