"""Uploads to the framework's server: bytes or files, with the bearer token of this run, tried again on failure."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from urllib.parse import quote

from executor.author import TaskFailed, Upload
from mesos_http import ApiError, BearerToken, Endpoint, Response, Timeouts, TransportError, exchange
from mesos_v1.values import TaskId
from wire.framework_server import TASK_HEADER, upload_url

ATTEMPTS = 5
FIRST_PAUSE = 0.2

logger = logging.getLogger(__name__)


async def upload(
    server: str | None, token: str, name: str, source: bytes | Path, *, content_type: str, task_id: TaskId
) -> Upload:
    """Upload one thing.

    Args:
        server: Its address; None when the framework serves nothing.

    Raises:
        TaskFailed: The server refuses it (for good), or cannot be reached (worth another attempt of the task).
    """
    if server is None:
        raise TaskFailed(f"{name} cannot be uploaded: the framework has no server", retry=False)
    endpoint = Endpoint.parse(upload_url(server, name))
    headers = (("Content-Type", content_type), (TASK_HEADER, quote(task_id)))
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            response = await exchange(
                "PUT",
                endpoint,
                source,
                headers=headers,
                credentials=BearerToken(token) if token else None,
                timeouts=Timeouts(5.0, 60.0),
            )
        except TransportError as error:
            reason = str(error)
        except OSError as error:
            raise TaskFailed(f"{name} cannot be uploaded: {error}") from error
        else:
            if response.status in {200, 201, 204}:
                return _uploaded(name, source, endpoint, response)
            refusal = ApiError(response.status, response.text)
            reason = str(refusal)
            if not refusal.retryable:
                raise TaskFailed(f"the upload of {name} was refused: {reason}", retry=False)
        if attempt < ATTEMPTS:
            logger.warning("the upload of %s failed, and is tried again: %s", name, reason)
            await asyncio.sleep(pause)
            pause *= 2
    raise TaskFailed(f"the upload of {name} failed after {ATTEMPTS} attempts: {reason}")


def _uploaded(name: str, source: bytes | Path, endpoint: Endpoint, response: Response) -> Upload:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    try:
        answer = json.loads(response.body or b"{}")
        return Upload(
            str(answer.get("name", name)), str(answer.get("url", endpoint.url)), int(answer.get("size", size))
        )
    except (ValueError, AttributeError, TypeError):
        return Upload(name, endpoint.url, size)
