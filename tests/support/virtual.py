"""`@virtual`: runs an async test under virtual time, with the system it asks for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from actors.runtime import ActorSystem
from actors.runtime.testing import ListTrace, ManualIds, run_virtual


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a plain test of an async one.

    A parameter `system` is a system on the virtual loop; `traced` is one whose trace is the parameter `records`.
    """
    signature = inspect.signature(test)
    given = {"system", "traced", "records"}

    async def run(*args: Any, **kwargs: Any) -> None:
        records = ListTrace("traced")
        if "records" in signature.parameters:
            kwargs["records"] = records
        if "system" in signature.parameters:
            async with ActorSystem("test", ids=ManualIds(1)) as system:
                await test(*args, **kwargs, system=system)
        elif "traced" in signature.parameters:
            async with ActorSystem("traced", trace=records, ids=ManualIds(1)) as system:
                await test(*args, **kwargs, traced=system)
        else:
            await test(*args, **kwargs)

    @functools.wraps(test)
    def plain(*args: Any, **kwargs: Any) -> None:
        run_virtual(run(*args, **kwargs))

    left = [p for p in signature.parameters.values() if p.name not in given]
    plain.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    del plain.__wrapped__
    return plain
