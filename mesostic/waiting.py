"""Waiting for several things at once, outside of any actor: the one place of this package that makes asyncio tasks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


async def first_of(wanted: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T | None:
    """The result of `wanted`, or None when one of the `others` is done before it; the rest is cancelled.

    Whatever the first one to end raised comes out.
    """
    first = asyncio.ensure_future(wanted)
    futures: list[asyncio.Future[Any]] = [first, *map(asyncio.ensure_future, others)]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            return first.result()
        for future in done:
            future.result()
        return None
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)


@asynccontextmanager
async def begun(coroutine: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Future[T]]:
    """A coroutine that runs while the block does; cancelled, and waited for, at the end of the block."""
    future = asyncio.ensure_future(coroutine)
    try:
        yield future
    finally:
        future.cancel()
        await asyncio.wait([future])
