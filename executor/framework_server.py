"""What an executor sends to the framework's server: bytes or files, with the bearer token of this run."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from executor.author import TaskFailed, Upload
from mesos_http import ApiError, BearerToken, Endpoint, Response, Timeouts, TransportError, exchange
from mesos_v1.values import TaskId
from wire.framework_server import TASK_HEADER, UPLOADS

ATTEMPTS = 5
FIRST_PAUSE = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameworkServer:
    """The server as an executor knows it, from its start-up letter."""

    url: str
    token: str = field(repr=False)

    async def put(
        self, path: str, source: bytes | Path, timeouts: Timeouts, headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        """Put something there, once; a path below the server's own."""
        return await exchange(
            "PUT",
            Endpoint.parse(self.url.rstrip("/") + path),
            source,
            headers=headers,
            credentials=BearerToken(self.token) if self.token else None,
            timeouts=timeouts,
        )

    async def upload(self, name: str, source: bytes | Path, content_type: str, task_id: TaskId) -> Upload:
        """Upload one thing for a task, again when the network fails; TaskFailed says whether another attempt can help."""
        path = f"{UPLOADS}/{quote(name)}"
        headers = (("Content-Type", content_type), (TASK_HEADER, quote(task_id)))
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                logger.warning("the upload of %s failed, and is tried again: %s", name, reason)
                await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            try:
                response = await self.put(path, source, Timeouts(connect=5.0, response=60.0), headers)
            except TransportError as error:
                reason = str(error)
            except OSError as error:
                raise TaskFailed(f"{name} cannot be uploaded: {error}") from error
            else:
                if response.status in {200, 201, 204}:
                    return self._uploaded(name, source, response)
                refusal = ApiError(response.status, response.text)
                reason = str(refusal)
                if not refusal.retryable:
                    raise TaskFailed(f"the upload of {name} was refused: {reason}", retry=False)
        raise TaskFailed(f"the upload of {name} failed after {ATTEMPTS} attempts: {reason}")

    def _uploaded(self, name: str, source: bytes | Path, response: Response) -> Upload:
        url = f"{self.url.rstrip('/')}{UPLOADS}/{quote(name)}"
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        try:
            said = {"name": name, "url": url, "size": size} | json.loads(response.body or b"{}")
            return Upload(str(said["name"]), str(said["url"]), int(said["size"]))
        except (ValueError, TypeError):
            return Upload(name, url, size)
