"""Says what a framework waits for when it waits for long: silent waiting looks just like work.

Before it starts, there has to be a master at the address: a typo must not look like patience; one that has run keeps trying
forever, which is the connection actor's business. While it runs, the broker is asked now and then why tasks get no offer, the
scheduler how far it is. What has not changed between two questions is reported, within ten seconds, and again as long as it
lasts, at growing intervals.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from actors.messages import AskProgress, PendingGroup, PendingReport, Progress, WhyPending
from actors.runtime import ActorDeadError, ActorSystem
from mesos_http import ConnectFailed, Endpoint, Timeouts, TlsSettings, TransportError, exchange
from mesostic.errors import ClusterError

_LOOK_AGAIN = 4.8
_RARELY = 60.0
_MOST_RARELY = 3600.0
_PATIENCE = 4.0
_AGENTS_SHOWN = 3
_STARTING = ("launching", "staging")
_NO_TASK = {
    False: "nothing happens: the framework is subscribed, but the master has offered nothing yet: its agents have nothing"
    " free for the framework's roles, or other frameworks hold it",
    True: "nothing happens: offers have come, but no update tells of an active task, and finish() was not called."
    " What to launch on offers is the scheduler's to decide; Ctrl-C ends it",
    None: "nothing to do: no task is active, and finish() was not called. The framework waits for its own hooks, messages or"
    " timers to launch more; Ctrl-C ends it (finish_when_done() does so by itself)",
}
_ALL_OF_THEM = {
    "backing off": "waiting for the next attempt, after failing",
    "unreachable": "on agents that the master has lost",
    "killing": "asked to end, and not gone yet",
}
_CONNECT_TIMEOUT = 5.0
_PAUSE = 0.5
_NOT_FOUND = 404
_DEFAULT_PORTS = {"http": 80, "https": 443, "zk": 2181}


async def wait_for_master(
    masters: Sequence[str], patience: float, tell: Callable[[str], None], *, tls: TlsSettings | None = None
) -> None:
    """Return as soon as one of the addresses (URLs, or one zk:// address) answers as a master may.

    Tries for `patience` seconds (0: forever), and says so after the first failure. Then, or where an agent answers, ClusterError.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + patience if patience else None
    told = False
    while True:
        reasons = []
        for master in masters:
            for host, port in addresses_of(master):
                reason = await _try(host, port)
                if reason is None and not master.startswith("zk:"):
                    reason = await _ask_master(master, tls, tell)
                if reason is None:
                    return
                reasons.append(f"{host}:{port} ({reason})")
        text = f"No master can be reached at {', '.join(reasons)}."
        if deadline is not None and now() >= deadline:
            raise ClusterError(
                f"{text} Tried for {patience:g} s. Check framework.master and that the master runs; "
                "--set framework.master=embedded runs on the built-in cluster."
            )
        if not told:
            tell(f"{text} Trying again {f'for {patience:g} s' if patience else 'until it answers'}.")
            told = True
        await asyncio.sleep(_PAUSE)


def addresses_of(master: str) -> list[tuple[str, int]]:
    """Where to connect to: host and port of each server that the address names."""
    scheme, _, rest = master.partition("://")
    hosts = rest.partition("/")[0].rpartition("@")[2].split(",")
    servers = [urlsplit(f"//{host}") for host in hosts if host]
    return [(server.hostname or "", server.port or _DEFAULT_PORTS.get(scheme, 80)) for server in servers]


async def _try(host: str, port: int) -> str | None:
    """None when a connection was made, or why not."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer in {_CONNECT_TIMEOUT:g} s"
    except OSError as error:
        text = error.strerror or str(error)
        return text[:1].lower() + text[1:] if "Connect call failed" not in text else "connection refused"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return None


async def _ask_master(master: str, tls: TlsSettings | None, tell: Callable[[str], None]) -> str | None:
    """None when the server there answers over HTTP, or why not; ClusterError where it is an agent."""
    endpoint = Endpoint.parse(master)
    timeouts = Timeouts(_CONNECT_TIMEOUT, _CONNECT_TIMEOUT)
    try:
        health = await exchange("GET", endpoint.with_path("/master/health"), tls=tls, timeouts=timeouts)
        if health.status != _NOT_FOUND:
            return None
        agent = await exchange("GET", endpoint.with_path("/slave(1)/health"), tls=tls, timeouts=timeouts)
    except ConnectFailed as error:
        text = str(error)
        if "certificate" in text:
            return f"{text}; framework.ca names the authorities to trust"
        return f"{text}; if it does not speak TLS, write http://" if endpoint.scheme == "https" else text
    except TransportError as error:
        text = f"it accepts the connection but does not answer HTTP: {error}"
        return text if endpoint.scheme == "https" else f"{text}; if it speaks TLS, write https://"
    if agent.status != _NOT_FOUND:
        raise ClusterError(
            f"{master} is an agent, not a master. Set framework.master to the master's address; its port is often 5050, "
            "an agent's 5051."
        )
    tell(
        f"{master} answers, but does not look like a Mesos master (it has no /master/health). Trying it anyway."
    )
    return None


async def say_why_tasks_wait(system: ActorSystem, tell: Callable[[str], None]) -> None:
    """Never returns."""
    waiting: set[str] = set()
    before: tuple[str, Progress | None] = ("", None)
    told: dict[object, tuple[float, float]] = {}  # when a text may be told again, and the pause after that
    while True:
        await asyncio.sleep(_LOOK_AGAIN)
        report = await _ask(system, "offers", WhyPending())
        progress = await _ask(system, "scheduler", AskProgress())
        groups = report.groups if isinstance(report, PendingReport) else ()
        texts: dict[object, str] = {
            (group.role, group.wanted, group.executor): explain(group)
            for group in groups
            if group.first_task in waiting
        }
        waiting = {str(group.first_task) for group in groups}
        if isinstance(progress, Progress):
            stands = stands_still(progress)
            if stands and (stands, progress) == before:
                texts[stands] = stands
            before = (stands, progress)
        now = asyncio.get_running_loop().time()
        told = {key: told[key] for key in texts if key in told}
        for key, text in texts.items():
            until, pause = told.get(key, (0.0, _RARELY))
            if now >= until:
                told[key] = (now + pause, min(pause * 2, _MOST_RARELY))
                tell(text)


async def _ask(system: ActorSystem, name: str, question: object) -> Any:
    """Ask an actor, if it exists and has time: one that is stuck in a handler is reported elsewhere."""
    actor = system.find(name)
    if actor is None:
        return None
    try:
        async with asyncio.timeout(_PATIENCE):
            return await actor.ask(question, block=False)
    except (ActorDeadError, TimeoutError):
        return None


def stands_still(progress: Progress) -> str:
    """What a framework waits for that has not changed for a while, in a sentence; "" where all is well."""
    if progress.ending and not progress.subscribed:
        return "the framework is ending, and waits for the master to answer TEARDOWN"
    if not progress.subscribed:
        return (
            "not subscribed: no master has accepted the framework yet, or the last one is gone; still trying"
        )
    if progress.ending or progress.phases is None:
        return ""
    phases = dict(progress.phases)
    total = sum(phases.values())
    if not total:
        return _NO_TASK[progress.offered]
    starting = sum(phases.get(phase, 0) for phase in _STARTING)
    if starting == total:
        return (
            f"{_tasks(total)} being started: the agent fetches files, or starts the executor"
            " (its log and the sandbox say more)"
        )
    all_of_them = [text for phase, text in _ALL_OF_THEM.items() if phases.get(phase) == total]
    return f"{_tasks(total)} {all_of_them[0]}" if all_of_them else ""


def _tasks(count: int) -> str:
    return "1 task is" if count == 1 else f"{count:,} tasks are"


def explain(group: PendingGroup) -> str:
    """One group of tasks that wait for the same, in a paragraph."""
    one = group.tasks == 1
    tasks = f"{group.first_task} waits" if one else f"{group.tasks:,} tasks wait, {group.first_task} first"
    executor = f" (executor {group.executor})" if group.executor else ""
    looked = []
    for verdict in group.verdicts[:_AGENTS_SHOWN]:
        lacks = ", ".join(f"{s.resource} {s.wanted} wanted, {s.available} there" for s in verdict.shortfalls)
        looked.append(f"{verdict.hostname} offers {verdict.offered}: {lacks}")
    if group.agents_looked_at > len(looked) > 0:
        looked.append(f"and {group.agents_looked_at - len(looked)} more agents")
    if group.operation:
        tasks = f"operation {group.first_task} ({group.operation}) waits"
    text = f"{tasks} for {group.wanted}{executor}; {group.remark}"
    return f"{text}. {'; '.join(looked)}." if looked else f"{text}."
