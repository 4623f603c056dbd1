"""RENDLER's vocabulary: what travels between scheduler and executors, and between the actors of the scheduler."""

from __future__ import annotations

from examples.rendler.pages import PageRecord
from mesostic import message

# --- task payloads and their results (in TaskInfo.data, and in the acknowledged TaskStatus.data) ---


@message
class Crawl:
    """Fetch one page and read its links.

    `delay` is the seconds to keep between two requests to its host, `public_only` whether private addresses are out of bounds.
    """

    url: str
    depth: int
    delay: float = 0.0
    public_only: bool = False


@message
class Crawled:
    """What came of the fetch. An answer like 404 is a result too; only a transient failure fails the task.

    `error` says why there is nothing to follow (404, robots.txt, a PDF); `crawl_delay` is what robots.txt asks for.
    """

    url: str
    status: int | None
    content_type: str = ""
    bytes: int = 0
    title: str = ""
    links: tuple[str, ...] = ()
    follow: bool = True
    redirect: str = ""
    error: str = ""
    skipped: bool = False
    crawl_delay: float | None = None
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
    """Write everything (asked): `reason` says how the crawl ended, empty where it came to its own end.

    `seconds` is how long everything took, `crawl_seconds` until the last page was crawled (pictures take longer).
    `earlier` pages are known from an earlier run.
    """

    reason: str = ""
    queued: int = 0
    seconds: float = 0.0
    crawl_seconds: float = 0.0
    earlier: int = 0


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
