"""Checks and health checks of tasks: what is checked, how often, and what follows from the results.

The judging (`HealthJudge`, `CheckJudge`) is pure; `perform` does one check. Semantics as documented in Mesos, "Task
Health Checking" and "Checks": failures in the grace period before the first success do not count, a task is to be
killed after so many failures in a row, and a check's result is told only when it changed.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesos_v1 import pb
from playa.agent.containers.processes import PROCESSES, Command

_CheckInfo = pb.mesos.CheckInfo
_HealthCheck = pb.mesos.HealthCheck
_LOOPBACK: Final = {pb.mesos.NetworkInfo.IPv4: "127.0.0.1", pb.mesos.NetworkInfo.IPv6: "::1"}


class CheckFailed(Exception):  # noqa: N818 - a result
    """A check that gave no result: it timed out, could not start, or was refused a connection."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to check and when.

    Attributes:
        info: The check (a health check is turned into one).
        delay: Seconds before the first.
        interval: Seconds between the end of one and the start of the next.
        timeout: Seconds that one may take; None for no limit.
        url: For an HTTP check.
        host: For a TCP check.
    """

    info: pb.mesos.CheckInfo
    delay: float
    interval: float
    timeout: float | None
    url: str = ""
    host: str = "127.0.0.1"

    @classmethod
    def of(
        cls,
        info: pb.mesos.CheckInfo,
        times: pb.mesos.CheckInfo | pb.mesos.HealthCheck,
        url: str = "",
        host: str = "127.0.0.1",
    ) -> "Plan":
        """The plan of a check, with the times of itself or of a health check."""
        timeout = times.timeout_seconds or None
        return cls(info, times.delay_seconds, times.interval_seconds, timeout, url, host)


def plan_of_check(check: pb.mesos.CheckInfo) -> Plan:
    """The plan of a (non-judging) check."""
    return Plan.of(check, check, f"http://127.0.0.1:{check.http.port}{check.http.path}")


def plan_of_health_check(health: pb.mesos.HealthCheck) -> Plan:
    """The plan of a health check: the same as the check of its kind."""
    info = _CheckInfo()
    if health.type == _HealthCheck.HTTP:
        info.type = _CheckInfo.HTTP
        info.http.port = health.http.port
        host = _LOOPBACK[health.http.protocol]
        shown = f"[{host}]" if ":" in host else host
        url = f"{health.http.scheme or 'http'}://{shown}:{health.http.port}{health.http.path}"
        return Plan.of(info, health, url, host)
    if health.type == _HealthCheck.TCP:
        info.type = _CheckInfo.TCP
        info.tcp.port = health.tcp.port
        return Plan.of(info, health, host=_LOOPBACK[health.tcp.protocol])
    info.type = _CheckInfo.COMMAND
    info.command.command.CopyFrom(health.command)
    return Plan.of(info, health)


def passed(result: pb.mesos.CheckStatusInfo) -> bool:
    """Whether a result means health: exit code 0, HTTP status 200 to 399, a TCP connection."""
    if result.type == _CheckInfo.COMMAND:
        return result.command.exit_code == 0
    if result.type == _CheckInfo.HTTP:
        return 200 <= result.http.status_code < 400
    return result.tcp.succeeded


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a health check's result means for the task: a status with `healthy`, and perhaps its end."""

    healthy: bool
    kill: bool


class HealthJudge:
    """Counts failures of one task's health check."""

    def __init__(self, *, grace_period: float, consecutive_failures: int, started: float) -> None:
        self._grace_until = started + grace_period if grace_period > 0 else started - 1.0
        self._limit = consecutive_failures
        self._initializing = True
        self._failures = 0

    def result(self, *, ok: bool, now: float) -> Verdict | None:
        """Take one result in; None when there is nothing to tell."""
        if ok:
            news = self._initializing or self._failures > 0
            self._initializing = False
            self._failures = 0
            return Verdict(healthy=True, kill=False) if news else None
        if self._initializing and now <= self._grace_until:
            return None
        self._failures += 1
        return Verdict(healthy=False, kill=self._failures >= self._limit)


class CheckJudge:
    """Remembers the last result of one task's check."""

    def __init__(self, check: pb.mesos.CheckInfo) -> None:
        self._empty = empty_check_status(check).SerializeToString(deterministic=True)
        self._last = self._empty

    def result(self, result: pb.mesos.CheckStatusInfo | None) -> pb.mesos.CheckStatusInfo | None:
        """Take one result in (None: it failed to give one); gives what is to be told, None if nothing changed."""
        data = self._empty if result is None else result.SerializeToString(deterministic=True)
        if data == self._last:
            return None
        self._last = data
        return pb.mesos.CheckStatusInfo.FromString(data)


def empty_check_status(check: pb.mesos.CheckInfo) -> pb.mesos.CheckStatusInfo:
    """The result of a check that has not run yet: its kind and nothing else."""
    info = pb.mesos.CheckStatusInfo(type=check.type)
    kind = {_CheckInfo.COMMAND: info.command, _CheckInfo.HTTP: info.http, _CheckInfo.TCP: info.tcp}
    if check.type in kind:
        kind[check.type].SetInParent()
    return info


async def perform(
    plan: Plan, *, environment: Mapping[str, str], directory: Path, owner: str
) -> pb.mesos.CheckStatusInfo:
    """Do one check.

    Raises:
        CheckFailed: It gave no result.
    """
    result = pb.mesos.CheckStatusInfo(type=plan.info.type)
    try:
        async with asyncio.timeout(plan.timeout):
            if plan.info.type == _CheckInfo.COMMAND:
                result.command.exit_code = await _command(
                    plan.info.command.command, environment, directory, owner
                )
            elif plan.info.type == _CheckInfo.HTTP:
                result.http.status_code = await _http(plan.url)
            else:
                result.tcp.succeeded = await _tcp(plan.host, plan.info.tcp.port)
    except TimeoutError:
        raise CheckFailed(f"timed out after {plan.timeout} seconds") from None
    except OSError as error:
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


async def _http(url: str) -> int:
    import aiohttp

    try:
        async with aiohttp.ClientSession() as session, session.get(url, ssl=False) as response:
            return response.status
    except aiohttp.ClientError as error:
        raise CheckFailed(str(error)) from error


async def _tcp(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True
