"""Waiting for several things at once, outside of any actor: the one place of this package that makes asyncio tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(wanted: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T | None:
    """The result of `wanted`, or None when one of the `others` is done before it; the rest is cancelled.

    Raises:
        Exception: whatever the first one to end raised.
    """
    first = asyncio.ensure_future(wanted)
    rest = [asyncio.ensure_future(coroutine) for coroutine in others]
    try:
        await asyncio.wait([first, *rest], return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            return first.result()
        for task in rest:
            if task.done():
                task.result()
        return None
    finally:
        tasks: list[asyncio.Future[Any]] = [first, *rest]
        for future in tasks:
            future.cancel()
        for future in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await future


@asynccontextmanager
async def begun(coroutine: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Future[T]]:
    """A coroutine that runs while the block does; cancelled, and waited for, at the end of the block."""
    future = asyncio.ensure_future(coroutine)
    try:
        yield future
    finally:
        future.cancel()
        await asyncio.wait([future])
