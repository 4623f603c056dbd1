"""What to try when a task has failed: a table from what was said to what helps. Pure.

A row matches by words (of the update, or of what an executor that is dead wrote at last); the first one that does counts, so
what is special stands before what is general. Where none matches, Mesos's reason may help.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Row(NamedTuple):
    """One kind of failure."""

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
