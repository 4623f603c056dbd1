"""`[scheduler]` of a RENDLER configuration: where to start, where to stop, how polite to be, what a task may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from examples.rendler import urls
from mesostic import RetryPolicy, setting

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
    resume: bool = setting(False, help="Whether to go on from the pages.jsonl that is in the output folder.")

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
        urls.seed(self.seed)
        if self.crawling < 1 or self.rendering < 1:
            raise ValueError("crawling and rendering must be at least 1")
        if min(self.max_pages, self.max_pictures, self.delay, self.max_depth or 0) < 0:
            raise ValueError("max_pages, max_pictures, max_depth and delay must not be negative")
