"""Says in the log what went wrong with tasks, whatever the author's hooks do about it.

The scheduler passes on the first failed attempt of each task and each failure for good. Those that are alike (state, reason,
text without its numbers, executor) are one kind: the first of a kind is told in a paragraph, with the last lines of the
executor's standard error, read from the agent's sandbox, and what to try; the others are counted and summed up, now and then
and at the end. A task whose agent is drained or goes down for maintenance is moved, which is a kind of its own and no failure.
Nothing waits for this actor: reading has a time limit, and a sandbox that cannot be read is said in a few words.
"""

import asyncio
import logging
import re
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from actors import messages as m
from actors.framework_settings import Composition, seconds
from actors.runtime import Actor, message, receive, setting
from actors.sandbox import Unreadable, last_lines, printable, read_tail
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, TaskId

logger = logging.getLogger("actors.failures")

_KINDS_KEPT = 1000
_AGENTS_KEPT = 100_000
_LONGEST_MESSAGE = 600
_SHORT_MESSAGE = 150
_PARAGRAPHS = 10  # kinds told in full per minute; more of them are counted
_MINUTE = 60.0
_NUMBERS = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,}|0x[0-9a-fA-F]+|\d+")
# States in which nothing ran that could have written anything.
_NOWHERE = frozenset(
    {"TASK_ERROR", "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNREACHABLE", "TASK_UNKNOWN"}
)


@dataclass(frozen=True, slots=True)
class FailureSettings:
    """How failures of tasks are told."""

    read_sandboxes: bool = setting(
        True, help="Whether to read the last lines of an executor's standard error from its agent."
    )
    lines: int = setting(12, help="How many of these lines are shown at most.")
    read_timeout: float = seconds(3.0, help="How long reading may take, in seconds.")
    summary_interval: float = seconds(30.0, help="How often repeated failures are summed up, in seconds.")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: of a task's first attempt, or of a task for good."""

    said: m.TaskChanged | m.TaskDone
    attempts: int
    executor: str  # its name; "" for a command
    executor_id: ExecutorId

    @property
    def final(self) -> bool:
        return isinstance(self.said, m.TaskDone)

    @property
    def moved(self) -> str:
        """Why the task cannot stay where it was, or "" if that is not why the attempt ended."""
        if self.final:
            return ""
        if self.said.reason == m.MOVED:
            return self.said.message.removeprefix("moved: ")
        return "its agent is being drained" if self.said.reason == m.DRAINING else ""

    def why(self, longest: int = _LONGEST_MESSAGE) -> str:
        """State, reason and message, on one line."""
        text = printable(" ".join(self.said.message.split()))
        if len(text) > longest:
            text = text[: longest - 1] + "…"
        what = ", ".join(part for part in (self.said.state, self.said.reason) if part)
        return ": ".join(part for part in (what, text) if part) or "no reason was given"


@message
class TailRead:
    """What an executor wrote at last, or why that is not known."""

    number: int
    lines: tuple[str, ...] = ()
    problem: str = ""


@message
class SummaryDue:
    """Time to say how many failures were like earlier ones."""


@dataclass(slots=True)
class _Kind:
    """Failures that are alike."""

    example: Failure  # the first of them, which was told in full
    more: int = 0  # so many have come since and were only counted, the newest last
    newest: TaskId = TaskId("")  # noqa: RUF009 - immutable


class FailureActor(Actor):
    """Tells of failures; see the head of this module."""

    Settings = FailureSettings

    def __init__(self, composition: Composition, settings: FailureSettings) -> None:
        self.framework = composition.framework
        self.settings = settings
        self._names = frozenset(executor.name for executor in composition.executors)
        self._framework_id: FrameworkId | None = None
        self._agents: OrderedDict[AgentId, tuple[str, str]] = OrderedDict()
        self._kinds: OrderedDict[tuple[object, ...], _Kind] = OrderedDict()
        self._told: deque[float] = deque(maxlen=_PARAGRAPHS)
        self._pending: dict[int, Failure] = {}
        self._number = 0
        self._summary_due = False

    async def on_stop(self) -> None:
        """Tell what is still to be told."""
        read = await asyncio.gather(*(self._read(*pending) for pending in self._pending.items()))
        for tail in read:
            self.handle_tail_read(tail)
        self._sum_up()

    @receive
    def handle_agents_seen(self, seen: m.AgentsSeen) -> None:
        self._framework_id = seen.framework_id
        for agent_id, hostname, url in seen.agents:
            self._agents[agent_id] = (hostname, url)
        while len(self._agents) > _AGENTS_KEPT:
            self._agents.popitem(last=False)

    @receive
    def handle_task_changed(self, changed: m.TaskChanged) -> None:
        """An attempt has failed, and there will be another."""
        executor_id = changed.executor_id or ExecutorId(changed.attempt_id)  # Mesos's own, for a command
        name = executor_id.rpartition("-")[0] or executor_id
        of_ours = str(executor_id) != str(changed.attempt_id) and name in self._names
        self._take(Failure(changed, changed.attempt, name if of_ours else "", executor_id))

    @receive
    def handle_task_done(self, done: m.TaskDone) -> None:
        executor_id = done.executor_id or ExecutorId(f"{done.task_id}.{done.attempts}")
        self._take(Failure(done, done.attempts, done.executor, executor_id))

    @receive
    def handle_tail_read(self, tail: TailRead) -> None:
        failure = self._pending.pop(tail.number, None)
        if failure is not None:
            level = logging.ERROR if failure.final else logging.WARNING
            logger.log(level, "%s", self._paragraph(failure, tail))

    @receive
    def handle_summary_due(self, _due: SummaryDue) -> None:
        self._summary_due = False
        self._sum_up()

    def _take(self, failure: Failure) -> None:
        said = failure.said
        text = said.message.replace(said.task_id, "")
        alike = (said.state, said.reason, _NUMBERS.sub("#", text)[:200], failure.executor)
        key: tuple[object, ...] = (failure.final, *alike)
        kind = self._kinds.get(key)
        now = self.clock.now()
        if kind is None and (len(self._told) < _PARAGRAPHS or self._told[0] <= now - _MINUTE):
            self._kinds[key] = _Kind(failure)
            while len(self._kinds) > _KINDS_KEPT:
                self._kinds.popitem(last=False)
            self._told.append(now)
            self._tell_in_full(failure)
            return
        if kind is None:  # too many kinds in too short a time: all of those together
            key = (failure.final,)
            kind = self._kinds.setdefault(key, _Kind(failure))
        self._kinds.move_to_end(key)
        kind.more += 1
        kind.newest = said.task_id
        if not self._summary_due:
            self._summary_due = True
            self.timers.after(self.settings.summary_interval, SummaryDue())

    def _tell_in_full(self, failure: Failure) -> None:
        self._number += 1
        number = self._number
        self._pending[number] = failure
        said = failure.said
        nothing_to_read = said.agent_id is None or said.state in _NOWHERE or failure.moved
        if nothing_to_read or not self.settings.read_sandboxes:
            self.handle_tail_read(TailRead(number))
            return
        self.run_in_background(self._read_and_tell(number, failure), name=f"sandbox of {said.task_id}")

    def _sum_up(self) -> None:
        for key, kind in self._kinds.items():
            more, kind.more = kind.more, 0
            if not more or (not kind.example.final and (True, *key[1:]) in self._kinds):
                continue  # none, or they have failed for good meanwhile
            tasks = "1 more task" if more == 1 else f"{more:,} more tasks"
            end = "failed for good" if kind.example.final else "failed in the first attempt"
            moved = kind.example.moved if len(key) > 1 else ""
            if moved:
                end = "was moved" if more == 1 else "were moved"
            alike = "in many other ways"
            if len(key) > 1:
                alike = f"like {kind.example.said.task_id} ({moved or kind.example.why(_SHORT_MESSAGE)})"
            logger.warning("%s %s %s; the last was %s", tasks, end, alike, kind.newest)

    def _paragraph(self, failure: Failure, tail: TailRead) -> str:
        said, host = failure.said, self._host(failure)
        if failure.moved:
            return f"task {said.task_id}{host} is moved, to run again where it can: {failure.moved}"
        if isinstance(said, m.TaskDone):
            name = f" ({printable(said.name)})" if said.name not in {"", said.task_id} else ""
            times = "1 attempt" if failure.attempts == 1 else f"{failure.attempts} attempts"
            parts = [f"task {said.task_id}{name} has failed for good, after {times}{host}: {failure.why()}"]
        else:
            which = f"task {said.task_id} failed in attempt {failure.attempts}{host}"
            parts = [f"{which} and will be tried again: {failure.why()}"]
        if tail.lines:
            whose = f"executor {failure.executor_id}" if failure.executor else "it"
            parts.append(heading_of_lines(whose))
            most = self.settings.lines if failure.final else max(1, self.settings.lines // 3)
            parts += [f"    {line}" for line in tail.lines[-most:]]
        elif tail.problem:
            parts.append(f"  its standard error could not be read: {tail.problem}")
        written, user = "\n".join(tail.lines), self.framework.user
        advice = advise(said.reason, said.message, written, failure.executor, user)
        if advice:
            parts.append(f"  what to try: {advice}")
        return "\n".join(parts)

    def _host(self, failure: Failure) -> str:
        if failure.said.agent_id is None:
            return ""
        hostname = self._agents.get(failure.said.agent_id, ("", ""))[0]
        return f" on {printable(hostname)}" if hostname else f" on agent {failure.said.agent_id}"

    async def _read_and_tell(self, number: int, failure: Failure) -> None:
        self.actor_ref.tell(await self._read(number, failure))

    async def _read(self, number: int, failure: Failure) -> TailRead:
        assert failure.said.agent_id is not None
        _, url = self._agents.get(failure.said.agent_id, ("", ""))
        if not url or self._framework_id is None:
            return TailRead(number, (), "the address of its agent is not known")
        path = f"/frameworks/{self._framework_id}/executors/{failure.executor_id}/runs/latest/stderr"
        asked = self.framework
        secure = any(master.startswith("https:") for master in asked.masters())
        try:
            data = await read_tail(
                url,
                path,
                seconds=self.settings.read_timeout,
                tls=asked.tls,
                credentials=None if secure and url.startswith("http:") else asked.credentials,
            )
        except Unreadable as error:
            return TailRead(number, (), str(error))
        return TailRead(number, last_lines(data, self.settings.lines))


def heading_of_lines(whose: str) -> str:
    """The line above what was read of standard error, by which a report is known to have told it."""
    return f"  the last lines that {whose} wrote to standard error:"


# --- what to try: a table from what was said to what helps ------------------------------------------------------------


class Row(NamedTuple):
    """One kind of failure; the first row that matches counts, so what is special stands before what is general."""

    words: str  # what is looked for, as a regular expression; its first group may stand in the advice as {0}
    advice: str
    executor: bool | None = None  # whether it is about an executor of ours, a command (False), or either


_INSTALL = (
    "install it for the Python that runs executors on the agents, or ship it with the code: "
    'executors.{executor}.packages = ["{0}"]'
)

TABLE: tuple[Row, ...] = (
    Row(
        r"exec: ([^:]+): (?:cannot execute: )?(?:not found|No such file)|(?:sh|bash)[^:\n]*: (?:line )?\d*:? ?(/[^:\n]*python[^:\n]*): "
        r"(?:not found|No such file)",
        "there is no {0} on the agent: install Python 3.11 or later there, or say where it is with "
        'executors.{executor}.python = "/usr/bin/python3"',
        executor=True,
    ),
    Row(
        r"exec: ([^:]+): .*(?:[Pp]ermission denied|cannot execute)",
        "{0} may not be run by that user on the agent: see its permissions, executors.{executor}.python and framework.user",
        executor=True,
    ),
    Row(
        r"No module named '?(pykka|msgspec|google|aiohttp|typing_extensions)\b|has no module '\w+', which every executor",
        "the Python that runs executors on the agents lacks what Mesostic needs: install mesostic for it, or name one that "
        "has it with executors.{executor}.python",
        executor=True,
    ),
    Row(r"No module named '?([\w.]+)", _INSTALL, executor=True),
    Row(r"there is no module '([\w.]+)'", _INSTALL, executor=True),
    Row(
        r"(?:cannot import name '(?:StrEnum|Self|assert_never)'|SyntaxError.*\b(?:match|executor/|actors/))",
        "the agents' Python is too old: Mesostic needs 3.11 or later; name one with executors.{executor}.python",
        executor=True,
    ),
    Row(
        r"(?:user information for|get user|getpwnam|unknown user|no such user|user) '?([\w.-]+)'?[^\n]{0,40}"
        r"(?:not found|does not exist|No such|unknown|Success|$)|Failed to (?:chown|get user|change user)|getgrouplist",
        "the agent has no user {user}: set framework.user to one that every agent knows, or leave it out to run as you",
    ),
    Row(
        r"No executor is expected to launch",
        "the task that was to start the executor there could not: what is said of that one helps this one, too",
    ),
    Row(
        r"Failed to fetch|[Ff]etch(?:er|ing)\b.*(?:fail|exited|status)",
        "the agent could not fetch the executor's code or a URI: can it reach the framework's own server? "
        "server.advertise sets the address that agents use, server.host the one that it listens on",
    ),
    Row(
        r"[Mm]emory limit exceeded|[Oo]ut of memory|OOM|MemoryError",
        "more memory: launch(mem=…), or executors.{executor}.mem where the executor itself needs it",
    ),
    Row(
        r"No space left on device|Disk quota exceeded", "the agent's disk is full: make room in its work_dir"
    ),
    Row(
        r"signal 9\b|\bKilled\b",
        "something killed the process (often because memory ran out): launch(mem=…), and the agent's system log",
        executor=False,
    ),
    Row(
        r"(?:status|exited with) (?:127)\b|: (?:command )?not found",
        "the shell found no such command on the agent: install it there, or give the whole path",
        executor=False,
    ),
    Row(
        r"exited with status \d+",
        "run the same command by hand on the agent, as the same user: its output is above and in the sandbox",
        executor=False,
    ),
    Row(
        r"cannot be imported|has no class|cannot be made|could not be started|settings of",
        "correct the executor's class; `mesostic check` finds what can be found here",
        executor=True,
    ),
)

BY_REASON: Mapping[str, str] = {
    "CONTAINER_LIMITATION_MEMORY": "more memory: launch(mem=…)",
    "CONTAINER_LIMITATION_DISK": "more disk: launch(disk=…)",
    "timeout": "give an attempt more time with launch(timeout=…), or find out what it waits for",
    "EXECUTOR_REGISTRATION_TIMEOUT": "the executor started and did not report in time: can it reach its agent, and does it "
    "import quickly enough? (the agent's --executor_registration_timeout)",
    "TASK_INVALID": "the master or the agent refuses the task as it is: correct what the message names in launch(…)",
    "TASK_UNAUTHORIZED": "the framework's principal may not do this: see the cluster's ACLs, framework.principal and "
    "framework.user",
    "EXECUTOR_TERMINATED": "the executor's process ended by itself: its last lines say why; the sandbox on the agent has all "
    "of its output",
    "CONTAINER_LAUNCH_FAILED": "the agent could not start the container: the agent's own log says why",
}  # without "REASON_"


def advise(reason: str, message: str, tail: str, executor: str, user: str) -> str:
    """Return what to try, or "" when nothing is known to help.

    What was written at last (`tail`) counts where the process itself came to grief; a command has no `executor` ("").
    """
    short = reason.removeprefix("REASON_")
    texts = [message]
    if short.startswith(("EXECUTOR", "CONTAINER", "COMMAND_EXECUTOR")) or not executor:
        texts.append(tail)
    rows = [row for row in TABLE if row.executor is None or row.executor is bool(executor)]
    for text in texts:
        for row in rows:
            if (found := re.search(row.words, text)) is not None:
                return _fill(row.advice, executor, user, next((g for g in found.groups() if g), ""))
    return _fill(BY_REASON.get(short, ""), executor, user, "")


def _fill(advice: str, executor: str, user: str, found: str) -> str:
    if "packages" in advice:
        found = found.partition(".")[0]
    named = advice.replace("{executor}", executor or "…").replace("{user}", user or "of that name")
    return named.replace("{0}", found)
