"""Misbehaviour on demand by HTTP: `/playa/faults`.

`GET` answers the plan in force and the list of faults; `POST` with a JSON object `{"fault": NAME, …}` does one; `DELETE` ends
all that last. Lasting ones are the fields of `playa.faults.FaultPlan`: `{"fault": "plan", "silent": true}`. Others happen
once: see `_ONCE`. Nothing of this exists in Mesos, so the path cannot clash with one of its own.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any

from aiohttp import web

from actors.runtime import ActorRef
from playa import faults
from playa.web import Refused, json_answer

PATH = "/playa/faults"
Json = dict[str, Any]
_MOST_SECONDS = 1e9


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
    "kill_agent": lambda b: faults.KillAgent(_index(b), _seconds(b, "restart_after")),
    "start_agent": lambda b: faults.StartAgent(_index(b)),
    "silence_agent": lambda b: faults.SilenceAgent(_index(b), _seconds(b, "seconds")),
    "restart_master": lambda b: faults.KillMaster(_seconds(b, "after", 1.0)),
    "remove_framework": lambda b: faults.RemoveFramework(str(b.get("framework_id", ""))),
    "rescind_offers": lambda _: faults.RescindOffers(),
    "close_streams": lambda b: faults.CloseStreams(bool(b.get("abort", False))),
    "send_raw": lambda b: faults.SendRaw(_bytes(b)),
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
        change = faults.GetFaults() if request.method == "GET" else faults.SetFaults(faults.FaultPlan())
        answer = _as_json(await cluster.ask(change, block=False))
        return json_answer({**answer, "once": sorted(_ONCE)} if request.method == "GET" else answer)

    app.router.add_routes([web.route(method, PATH, handle) for method in ("GET", "POST", "DELETE")])


async def _order(cluster: "ActorRef[Any]", body: Json) -> Json:
    name = body.pop("fault", None)
    if name == "plan":
        plan = _changed(await cluster.ask(faults.GetFaults(), block=False), body)
        return _as_json(await cluster.ask(faults.SetFaults(plan), block=False))
    if not isinstance(name, str) or name not in _ONCE:
        raise Refused(400, f"'fault' must be one of {', '.join(['plan', *sorted(_ONCE)])}")
    wanted = _ONCE[name](body)
    if isinstance(wanted, faults.KillMaster):  # this very server dies with it
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


def _as_json(plan: faults.FaultPlan) -> Json:
    return {"plan": {**asdict(plan), "shape": plan.shape.value}}


def _changed(plan: faults.FaultPlan, changes: Json) -> faults.FaultPlan:
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
