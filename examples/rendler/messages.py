"""RENDLER's vocabulary: what is known about a page, and what travels between scheduler, executors and actors."""

import enum
from dataclasses import dataclass

from mesostic import message


class PageState(enum.StrEnum):
    """How far a page has come. A page is written to the results once its state is a final one."""

    QUEUED = "queued"
    CRAWLING = "crawling"
    CRAWLED = "crawled"
    REDIRECT = "redirect"
    SKIPPED = "skipped"
    """Reached, or not allowed to be: nothing went wrong, and there is nothing to follow (robots.txt, a PDF, too large)."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One page of the crawl: a line of `pages.jsonl`."""

    url: str  # normalised; a page is known under one URL only
    state: PageState = PageState.QUEUED
    depth: int = 0  # links away from the seed, by the way that found it first
    parent: str = ""  # the page on which it was found first; empty for the seed
    status: int | None = None  # of HTTP; None where no answer came
    content_type: str = ""  # without parameters
    bytes: int = 0  # of the body as read
    title: str = ""
    links: tuple[str, ...] = ()  # normalised and distinct, off-site links too
    follow: bool = True  # False where the page itself asks not to be followed (meta robots)
    redirect: str = ""  # where it redirects to
    attempts: int = 0  # tasks that were launched to crawl it
    seconds: float = 0.0  # until the answer was there, in the last attempt
    error: str = ""  # why it failed or was skipped, in a sentence
    picture: str = ""  # file name in `images/`
    thumbnail: str = ""  # and that of the small version
    picture_attempts: int = 0  # tasks that were launched to render it
    picture_error: str = ""  # why there is no picture, or what is odd about it

    @property
    def is_final(self) -> bool:
        """Whether crawling it has come to an end, good or bad."""
        return self.state not in {PageState.QUEUED, PageState.CRAWLING}


# --- task payloads and their results (in TaskInfo.data, and in the acknowledged TaskStatus.data) ---


@message
class Crawl:
    """Fetch one page and read its links."""

    url: str
    depth: int
    delay: float = 0.0  # seconds between two requests to its host
    public_only: bool = False  # private addresses are out of bounds


@message
class Crawled:
    """What came of the fetch. An answer like 404 is a result too; only a transient failure fails the task."""

    url: str
    status: int | None
    content_type: str = ""
    bytes: int = 0
    title: str = ""
    links: tuple[str, ...] = ()
    follow: bool = True
    redirect: str = ""
    error: str = ""  # why there is nothing to follow (404, robots.txt, a PDF)
    skipped: bool = False
    crawl_delay: float | None = None  # that robots.txt asks for
    seconds: float = 0.0


@message
class Render:
    """Take a picture of one page; `name` is the file name of the picture, without its ending."""

    url: str
    name: str
    public_only: bool = False


@message
class Rendered:
    """A picture was taken and uploaded to the framework's server under these names."""

    url: str
    picture: str
    thumbnail: str
    bytes: int = 0
    note: str = ""
    seconds: float = 0.0


# --- between scheduler, results and display ---


@message
class PageChanged:
    """A page has come to an end, or got its picture."""

    page: PageRecord


@message
class PictureArrived:
    """An executor's upload is on the framework's disk."""

    name: str
    path: str


@message
class CrawlStarted:
    """The crawl begins: where, and where its results go."""

    seed: str
    output: str
    render: bool


@message
class Progress:
    """Where the crawl stands, now and then."""

    crawled: int
    failed: int
    skipped: int
    crawl_queue: int
    crawling: int
    render_queue: int
    rendering: int
    pictures: int
    pictures_failed: int
    seconds: float
    latest: str = ""
    phase: str = "crawling"


@message
class Note:
    """A line that the user should see once."""

    text: str


@message
class WriteResults:
    """Write everything."""

    reason: str = ""  # how the crawl ended, if not by itself
    queued: int = 0
    seconds: float = 0.0  # that everything took
    crawl_seconds: float = 0.0  # until the last page was crawled: pictures take longer
    earlier: int = 0  # pages known from an earlier run


@message
class ResultsWritten:
    """The answer to WriteResults: the summary to print, line by line."""

    summary: tuple[str, ...]


@message
class CrawlEnded:
    """The last thing that the display shows."""

    summary: tuple[str, ...]


@message
class LoadResults:
    """Read the results of an earlier run (answered with ResultsLoaded)."""

    output: str


@message
class ResultsLoaded:
    """The pages of an earlier run; empty if there was none."""

    pages: tuple[PageRecord, ...]
