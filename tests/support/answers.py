"""What the master's HTTP site answers for a function of its logic."""

from collections.abc import Callable
from typing import Any

from playa.master.http_site import SiteAnswer
from playa.web import Refused


def answered(act: Callable[..., Any], *arguments: Any) -> SiteAnswer:
    """What it answers, 200 for nothing; or how it refuses."""
    try:
        return act(*arguments) or SiteAnswer(200)
    except Refused as refused:
        return SiteAnswer(refused.status, refused.text)
