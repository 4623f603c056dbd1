"""Misbehaviour on demand: what the embedded cluster can be told to do wrong, all of which can happen on a real one.

A `FaultPlan` is how the master treats its clients until it is replaced; counters in it run out by themselves. The other
messages do something once. Both reach the actor named "cluster" from Python (`Cluster.faults`) or by HTTP (`/playa/faults`,
which cannot clash with a path of Mesos): `GET` answers the plan in force and the list of faults; `POST` with a JSON object
`{"fault": NAME, …}` does one; `DELETE` ends all that last. Lasting ones are the fields of `FaultPlan`:
`{"fault": "plan", "silent": true}`. Others happen once: see `_ONCE`.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from aiohttp import web

from actors.runtime import ActorRef, message
from playa.web import Refused, Shape, json_answer

Json = dict[str, Any]
_MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """How the master misbehaves; the default is not at all."""

    answer_status: int = 0  # if not 0, the scheduler API answers every request with this status (503, say)
    answer_text: str = "Master has not finished recovery"  # the body of that answer
    redirect_to: str = ""  # the scheduler API answers 307 with this base URL, as a master that does not lead
    silent: bool = False  # no heartbeats
    half_open: bool = False  # requests are read and never answered; streams stay open and nothing comes
    shape: Shape = Shape.NORMAL  # or its value
    delay_updates: float = 0.0  # seconds by which UPDATE events come late
    drop_updates: int = 0  # how many of the next UPDATE events are lost
    duplicate_updates: int = 0  # how many of the next UPDATE events come twice
    drop_messages: int = 0  # how many of the next framework messages, either way, are lost
    duplicate_messages: int = 0  # how many of the next framework messages, either way, come twice
    lose_accepts: int = 0  # how many of the next ACCEPT calls are answered 202 and lost
    rescind_accepts: int = 0  # how many of the next ACCEPT calls come after their offers were rescinded

    def __post_init__(self) -> None:
        """Refuse a value that cannot be right, and take a shape by its name."""
        if self.answer_status and not 100 <= self.answer_status <= 599:
            raise ValueError(f"answer_status must be an HTTP status, but is {self.answer_status!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and field.name != "answer_status" and value < 0:
                raise ValueError(f"{field.name} must not be negative")
        try:
            object.__setattr__(self, "shape", Shape(self.shape))
        except ValueError:
            known = ", ".join(shape.value for shape in Shape)
            raise ValueError(f"shape must be one of {known}, but is {self.shape!r}") from None


@message
class SetFaults:
    """Misbehave like this from now on. Answered with the plan that is in force."""

    plan: FaultPlan


@message
class GetFaults:
    """Answered with the `FaultPlan` in force, counters run down."""


@message
class RemoveFramework:
    """ERROR "Framework has been removed" to a framework (empty: to all), and it is gone. Answered with their number."""

    framework_id: str


@message
class RescindOffers:
    """Take all outstanding offers back. Answered with their number."""


@message
class CloseStreams:
    """Close all subscriptions: in order, or (`abort`) cut in the middle. Answered with their number."""

    abort: bool


@message
class SendRaw:
    """Send bytes on all subscriptions that are no record: garbage, or half a record. Answered with their number."""

    data: bytes


@message
class KillMaster:
    """The master's process dies, and comes back after `restart_after` seconds; None: it stays away until `StartMaster`."""

    restart_after: float | None


@message
class StartMaster:
    """A new master starts on the same port, with what the registry of the old one knows. Answered when it listens."""


@message
class KillAgent:
    """The process of an agent (the first is 1) dies, and comes back likewise. Answered with whether it was alive."""

    index: int
    restart_after: float | None


@message
class StartAgent:
    """Start an agent that was killed, with what it checkpointed. Answered with True if it was dead."""

    index: int


@message
class SilenceAgent:
    """An agent is cut off from the master for so many seconds (None: until told otherwise)."""

    index: int
    seconds: float | None


class Faults:
    """Misbehaviour for tests in Python: `await cluster.faults.kill_agent(1, restart_after=2.0)`.

    Each method returns when the fault is in force.
    """

    def __init__(self, cluster: "ActorRef[Any]") -> None:
        self._cluster = cluster

    async def _ask(self, message: object) -> Any:
        return await self._cluster.ask(message, block=False)

    async def plan(self) -> FaultPlan:
        """What is in force, with counters run down."""
        plan: FaultPlan = await self._ask(GetFaults())
        return plan

    async def set(self, **changes: Any) -> FaultPlan:
        """Misbehave from now on, besides what is in force; the arguments are the fields of `FaultPlan`."""
        plan: FaultPlan = await self._ask(SetFaults(replace(await self.plan(), **changes)))
        return plan

    async def heal(self) -> None:
        """End all that lasts."""
        await self._ask(SetFaults(FaultPlan()))

    async def kill_agent(self, index: int = 1, *, restart_after: float | None = None) -> bool:
        """`kill -9` of an agent; its executors stay if their framework checkpoints."""
        return bool(await self._ask(KillAgent(index, restart_after)))

    async def start_agent(self, index: int = 1) -> bool:
        """Start an agent that was killed."""
        return bool(await self._ask(StartAgent(index)))

    async def silence_agent(self, index: int = 1, *, seconds: float | None = None) -> bool:
        """Cut an agent off from the master."""
        return bool(await self._ask(SilenceAgent(index, seconds)))

    async def kill_master(self, *, restart_after: float | None = None) -> bool:
        """Kill the master: its connections break, its port is closed."""
        return bool(await self._ask(KillMaster(restart_after)))

    async def start_master(self) -> bool:
        """Start a new master on the same port, with the old one's registry."""
        return bool(await self._ask(StartMaster()))

    async def restart_master(self) -> None:
        """A failover: the master is gone for a moment."""
        await self.kill_master()
        await self.start_master()

    async def remove_framework(self, framework_id: str = "") -> int:
        """ERROR "Framework has been removed", and it is; without an id: to all frameworks."""
        return int(await self._ask(RemoveFramework(framework_id)))

    async def rescind_offers(self) -> int:
        """Take all outstanding offers back."""
        return int(await self._ask(RescindOffers()))

    async def close_streams(self, *, abort: bool = False) -> int:
        """Close all subscriptions; with `abort` in the middle of a record, if one is being written."""
        return int(await self._ask(CloseStreams(abort)))

    async def send_raw(self, data: bytes) -> int:
        """Send bytes that are not a record on all subscriptions of schedulers."""
        return int(await self._ask(SendRaw(data)))


def _is_amount(value: object) -> bool:
    """A number that is not endless, not below 0, and that a clock can count to."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS


def _seconds(body: Json, name: str, default: float | None = None) -> float | None:
    value: float | None = body.get(name, default)
    if value is not None and not _is_amount(value):
        raise Refused(400, f"{name!r} must be a number of seconds, or null")
    return value


def _index(body: Json) -> int:
    value = body.get("agent", 1)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(400, "'agent' must be the number of an agent, from 1")
    return value


def _bytes(body: Json) -> bytes:
    try:
        return base64.b64decode(str(body.get("base64", "")), validate=True)
    except ValueError:
        raise Refused(400, "'base64' must be bytes in base64") from None


# What happens once: name -> the message for the cluster, from the request's fields.
_ONCE: dict[str, Callable[[Json], object]] = {
    "kill_agent": lambda b: KillAgent(_index(b), _seconds(b, "restart_after")),
    "start_agent": lambda b: StartAgent(_index(b)),
    "silence_agent": lambda b: SilenceAgent(_index(b), _seconds(b, "seconds")),
    "restart_master": lambda b: KillMaster(_seconds(b, "after", 1.0)),
    "remove_framework": lambda b: RemoveFramework(str(b.get("framework_id", ""))),
    "rescind_offers": lambda _: RescindOffers(),
    "close_streams": lambda b: CloseStreams(bool(b.get("abort", False))),
    "send_raw": lambda b: SendRaw(_bytes(b)),
}


def add_routes(
    app: web.Application, master: "ActorRef[Any]", check: Callable[[web.Request], str | None]
) -> None:
    """Serve the API; `check` asks for credentials where the operator API does."""
    cluster = master.system.ref("cluster")

    async def handle(request: web.Request) -> web.StreamResponse:
        check(request)
        if request.method == "POST":
            return json_answer(await _order(cluster, await _json_object(request)))
        change = GetFaults() if request.method == "GET" else SetFaults(FaultPlan())
        answer = _as_json(await cluster.ask(change, block=False))
        return json_answer({**answer, "once": sorted(_ONCE)} if request.method == "GET" else answer)

    app.router.add_routes(
        [web.route(method, "/playa/faults", handle) for method in ("GET", "POST", "DELETE")]
    )


async def _order(cluster: "ActorRef[Any]", body: Json) -> Json:
    name = body.pop("fault", None)
    if name == "plan":
        plan = _changed(await cluster.ask(GetFaults(), block=False), body)
        return _as_json(await cluster.ask(SetFaults(plan), block=False))
    if not isinstance(name, str) or name not in _ONCE:
        raise Refused(400, f"'fault' must be one of {', '.join(['plan', *sorted(_ONCE)])}")
    wanted = _ONCE[name](body)
    if isinstance(wanted, KillMaster):  # this very server dies with it
        cluster.tell(wanted)
        return {"result": True}
    return {"result": await cluster.ask(wanted, block=False)}


async def _json_object(request: web.Request) -> Json:
    if request.content_type != "application/json":  # which no form and no page from elsewhere can send
        raise Refused(415, "Expecting 'Content-Type' of application/json")
    try:
        value = json.loads(await request.read() or b"{}")
        json.dumps(value, ensure_ascii=False).encode()  # half a character has no bytes
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "the body must be a JSON object")
    return value


def _as_json(plan: FaultPlan) -> Json:
    return {"plan": {**asdict(plan), "shape": plan.shape.value}}


def _changed(plan: FaultPlan, changes: Json) -> FaultPlan:
    types = {f.name: type(getattr(plan, f.name)) for f in fields(plan)} | {"shape": str}
    for name, value in changes.items():
        if name not in types:
            raise Refused(400, f"{name!r} is not one of {', '.join(types)}")
        if not (_is_amount(value) if types[name] is float else type(value) is types[name]):
            raise Refused(400, f"{name!r} must be {types[name].__name__}, but is {value!r}")
    try:
        return replace(plan, **{name: types[name](value) for name, value in changes.items()})
    except ValueError as error:
        raise Refused(400, str(error)) from None
