"""Checks and health checks of tasks: what each of them asks, and what follows from the answers.

Both are done alike (`perform`) and judged differently. As documented in Mesos, "Task Health Checking" and "Checks": failures
in the grace period before the first success do not count, a task is to be killed after so many failures in a row, and a
check's result is told only when it changed.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp

from mesos_v1 import pb
from playa.agent.containers.processes import PROCESSES, Command
from playa.agent.statuses import Status

Result = pb.mesos.CheckStatusInfo
_CheckInfo = pb.mesos.CheckInfo
_HealthCheck = pb.mesos.HealthCheck
AnyCheck: TypeAlias = _CheckInfo | _HealthCheck
_LOOPBACK: Final = {pb.mesos.NetworkInfo.IPv4: "127.0.0.1", pb.mesos.NetworkInfo.IPv6: "::1"}


class CheckFailed(Exception):  # noqa: N818 - a result
    """A check that gave no result: it timed out, could not start, or was refused a connection."""


def passed(result: Result) -> bool:
    """Whether a result means health: exit code 0, HTTP status 200 to 399, a TCP connection."""
    if result.type == _CheckInfo.COMMAND:
        return result.command.exit_code == 0
    if result.type == _CheckInfo.HTTP:
        return 200 <= result.http.status_code < 400
    return result.tcp.succeeded


class HealthJudge:
    """Counts failures of one task's health check; `deadly` says that there were too many in a row."""

    def __init__(self, check: _HealthCheck, started: float) -> None:
        self.check = check
        self._grace_until = started + check.grace_period_seconds
        self._initializing = True
        self._failures = 0

    @property
    def deadly(self) -> bool:
        return self._failures >= self.check.consecutive_failures

    def judge(self, result: Result | None, now: float) -> Status | None:
        """What is new in the task's status with a result (None: there was none); None when there is nothing to tell."""
        healthy = result is not None and passed(result)
        if healthy:
            known = not self._initializing and not self._failures
            self._initializing, self._failures = False, 0
            if known:
                return None
        elif self._initializing and self.check.grace_period_seconds > 0 and now <= self._grace_until:
            return None
        else:
            self._failures += 1
        return Status(reason=Status.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED, healthy=healthy)


class CheckJudge:
    """Remembers the last result of one task's check."""

    deadly = False

    def __init__(self, check: _CheckInfo) -> None:
        self.check = check
        self._last = empty_check_status(check)

    def judge(self, result: Result | None, _now: float) -> Status | None:
        """What is new in the task's status with a result (None: there was none); None if nothing changed."""
        result = empty_check_status(self.check) if result is None else result
        if result == self._last:
            return None
        self._last = result
        return Status(reason=Status.REASON_TASK_CHECK_STATUS_UPDATED, check_status=result)


def empty_check_status(check: _CheckInfo) -> Result:
    """The result of a check that has not run yet: its kind and nothing else."""
    empty = Result(type=check.type)
    getattr(empty, _CheckInfo.Type.Name(check.type).lower()).SetInParent()
    return empty


async def perform(check: AnyCheck, environment: Mapping[str, str], directory: Path, owner: str) -> Result:
    """Do a check once. Raises CheckFailed when it gives no result."""
    result = Result(type=_CheckInfo.Type.ValueType(check.type))
    try:
        async with asyncio.timeout(check.timeout_seconds or None):
            if check.type == _CheckInfo.HTTP:
                result.http.status_code = await _http(url_of(check))
            elif check.type == _CheckInfo.TCP:
                result.tcp.succeeded = await _tcp(_host(check.tcp), check.tcp.port)
            else:
                command = check.command.command if isinstance(check, _CheckInfo) else check.command
                result.command.exit_code = await _command(command, environment, directory, owner)
    except TimeoutError:
        raise CheckFailed(f"timed out after {check.timeout_seconds} seconds") from None
    except (OSError, aiohttp.ClientError) as error:
        raise CheckFailed(str(error)) from error
    return result


async def _command(
    info: pb.mesos.CommandInfo, environment: Mapping[str, str], directory: Path, owner: str
) -> int:
    own = {v.name: v.value for v in info.environment.variables}
    child = PROCESSES.spawn(Command.of(info, {**environment, **own}, directory), owner=owner)
    try:
        status = await child.wait()
    finally:
        child.kill()
    if status is None or not os.WIFEXITED(status):
        raise CheckFailed("the check's command was killed")
    return os.WEXITSTATUS(status)


def url_of(check: AnyCheck) -> str:
    """What an HTTP check asks for; only a health check has a scheme and a protocol."""
    host = _host(check.http)
    shown = f"[{host}]" if ":" in host else host
    return f"{getattr(check.http, 'scheme', '') or 'http'}://{shown}:{check.http.port}{check.http.path}"


def _host(part: object) -> str:
    return _LOOPBACK[getattr(part, "protocol", pb.mesos.NetworkInfo.IPv4)]


async def _http(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url, ssl=False) as response:
        return response.status


async def _tcp(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
