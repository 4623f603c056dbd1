"""The page that a person sees at the master's address: frameworks, agents, tasks. Plain HTML, nothing is loaded from elsewhere."""

from collections.abc import Sequence
from html import escape

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa.master.operator_api import views
from playa.master.records import Agent, Framework, TaskRecord
from playa.master.state import VERSION, MasterState

_SHOWN_TASKS = 200
_STATES = {True: "connected", False: "disconnected"}
_INACTIVE = {True: "deactivated", False: "disconnected"}
_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
th{font-weight:600;color:#555}code{font-size:.9em}.none{color:#777}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}th,td{border-color:#333}th{color:#aaa}}
"""


def render(m: MasterState) -> str:
    """The page, of how things are now."""
    frameworks = [
        (f.id, f.info.name, f.info.user, ", ".join(f.roles), _STATES[f.connected], len(f.tasks), *_shares(f))
        for f in m.frameworks.values()
    ]
    agents = [
        (
            a.id,
            a.pid,
            "active" if a.active else _INACTIVE[a.connected],
            len(a.tasks),
            _short(a.total),
            *_shares(a),
        )
        for a in m.agents.values()
    ]
    running = [task for f in m.frameworks.values() for task in f.tasks.values()]
    ended = [task for f in m.frameworks.values() for task in reversed(f.completed_tasks)]
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta http-equiv=refresh content=5>",
            f"<title>Master {escape(m.info.pid)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Mesos {VERSION}, embedded: {escape(m.info.pid)}</h1>",
            f"<p>Master <code>{escape(m.id)}</code>. The same as JSON: <a href=/state>/state</a>.</p>",
            _table("Frameworks", "id name user roles state tasks used offered", frameworks),
            _table("Agents", "id address state tasks total used offered", agents),
            _table(f"Tasks ({len(running)})", "id name state agent resources", _tasks(running)),
            _table(f"Tasks that ended ({len(ended)})", "id name state agent resources", _tasks(ended)),
            "</body></html>",
        )
    )


def _shares(holder: Framework | Agent) -> tuple[str, str]:
    return _short(views.used(holder)), _short(views.offered(holder))


def _tasks(tasks: list[TaskRecord]) -> list[tuple[object, ...]]:
    state = pb.mesos.TaskState.Name
    shown = tasks[:_SHOWN_TASKS]
    return [(t.id, t.proto.name, state(t.proto.state), t.agent_id, _short(t.resources)) for t in shown]


def _short(resources: Resources) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in resources.scalars().items()) or "none"


def _table(title: str, heads: str, rows: Sequence[tuple[object, ...]]) -> str:
    names = heads.split()
    if not rows:
        return f"<h2>{escape(title)}</h2><p class=none>none</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, names, row))}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(name: str, value: object) -> str:
    text = escape(str(value))
    return f"<td><code>{text}</code></td>" if name in {"id", "agent"} else f"<td>{text}</td>"
