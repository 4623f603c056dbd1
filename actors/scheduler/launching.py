"""What `launch` takes, checked and made into what is launched: tasks, and the executors that they are for.

Each argument has its check in one table, so that a mistake is one sentence that names the argument. A check returns the
argument as it is kept: mappings become pairs, lists tuples. It never shows the values of an environment, which may be secret.
Limits are Mesos's (`master/validation.cpp`, `common/validation.cpp`) unless they say why.
"""

import math
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from actors.framework_settings import GPUS, Composition, ExecutorSettings, RetryPolicy, Volume, check_amount
from actors.messages import ExecutorTemplate, ServerReady
from actors.runtime import EncodeError, Secret, check_size, current_message_id, pack
from mesos_v1 import task_infos
from mesos_v1.errors import ResourceError
from mesos_v1.resources import Resources
from mesos_v1.values import ExecutorId
from wire.start_letter import ExecutorBoot

MAX_PORTS = 65_536
MAX_SECONDS = 100 * 365 * 24 * 3600.0  # a hundred years; Mesos keeps durations as nanoseconds in 64 bits
LEAST_LAUNCH_TIMEOUT = 1.0
"""After each such time of silence the master is asked about the launch, so it must not be next to nothing."""

Check = Callable[[str, Any], Any]


def task_options(
    arguments: Mapping[str, Any], defaults: Mapping[str, Any], composition: Composition
) -> dict[str, Any]:
    """Return the keyword arguments of `launch` as fields of a `TaskSpec`; what was left out need not be checked.

    `task_id` and `name` stay None where they were left out. One that cannot be is a ValueError that says which, and why.
    """
    given = {
        name: arguments[name] if arguments[name] is default else CHECKS[name](name, arguments[name])
        for name, default in defaults.items()
    }
    framework = composition.framework
    given["executor"] = executor = _executor_for(given["executor"], given["command"], composition)
    role = given["role"]
    if role is None:
        given["role"] = framework.roles[0]
    elif role not in framework.roles:
        raise ValueError(f"the framework has no role {role!r} (it has {', '.join(framework.roles)})")
    cpus, mem, disk, gpus = (given.pop(name) for name in ("cpus", "mem", "disk", "gpus"))
    wanted = given["resources"]
    if wanted is None:
        given["resources"] = wanted = _amounts(cpus, mem, disk, gpus)
    else:
        gpus = wanted.gpus
    if not wanted and not given["ports"]:
        raise ValueError("a task must ask for some resource: cpus, mem, disk, gpus and ports are all 0")
    if gpus and GPUS not in framework.capabilities:
        raise ValueError(
            f"gpus are offered only to frameworks with the capability {GPUS}: "
            "add it to capabilities in [framework]"
        )
    for name in ("environment", "uris"):
        if executor and given[name]:
            raise ValueError(f"{name} is for commands: executor {executor} has its own in its configuration")
    given["command"] = given["command"] or ""
    given["timeout"] = given["timeout"] or 0.0
    return given


def _executor_for(executor: str | None, command: str | None, composition: Composition) -> str:
    if command is not None:
        if executor is not None:
            raise ValueError("a task has either a command or an executor, not both")
        return ""
    known = [each.name for each in composition.executors]
    if executor is None:
        if len(known) != 1:
            raise ValueError(
                f"say which executor the task is for (there are: {', '.join(known) or 'none'}), or give a command"
            )
        return known[0]
    if executor not in known:
        raise ValueError(f"there is no executor {executor!r} (there are: {', '.join(known) or 'none'})")
    return executor


@lru_cache(maxsize=256)
def _amounts(cpus: float, mem: float, disk: float, gpus: float) -> Resources:
    """Return the same `Resources` for the same amounts: most tasks ask for what another one asked for."""
    return Resources.of(cpus=cpus, mem=mem, disk=disk, gpus=gpus)


def packed_payload(payload: object) -> bytes:
    """Return a payload as it travels (ValueError: it cannot)."""
    if payload is None:
        return b""
    try:
        packed = pack(payload, id=current_message_id())
    except EncodeError as error:
        raise ValueError(f"the payload cannot be sent: {error}") from error
    check_size("the payload", packed)
    return packed


def executor_template(
    executor: ExecutorSettings, composition: Composition, server: ServerReady
) -> ExecutorTemplate:
    """Describe an executor to the broker; its id and resources come with the agent that it is launched on.

    Its code is an archive that the agent's fetcher unpacks into the sandbox, which is put first on PYTHONPATH.
    """
    boot = ExecutorBoot(
        server_url=server.url or None,
        token="",  # see `actors.composition.token_for`
        settings=executor.settings,
        executor_class=executor.cls,
        trace=bool(composition.trace_file),
        modules=(executor.cls.partition(":")[0],),
        shutdown_grace_period=executor.shutdown_grace_period,
        reliable=True,
    )
    python = shlex.quote(executor.python or sys.executable)
    command = task_infos.command_info(
        'PYTHONPATH="$MESOS_SANDBOX${PYTHONPATH:+:$PYTHONPATH}" '
        f"exec {python} -m executor {shlex.quote(executor.cls)}",
        environment=executor.environment,
        uris=[*(url for name, url in server.artifacts if name == executor.name), *executor.uris],
    )
    info = task_infos.executor_info(
        ExecutorId(executor.name),
        command,
        name=executor.name,
        data=pack(boot),
        shutdown_grace_period=executor.shutdown_grace_period,
    )
    own = Resources.of(cpus=executor.cpus, mem=executor.mem, disk=executor.disk)
    return ExecutorTemplate(executor.name, own, info.SerializeToString())


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong_kind(name, "a text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character (a surrogate), which cannot be sent") from None
    return value


def check_texts(call: Any) -> None:
    """Check the ids, and whatever else is text, of a message that becomes a call (ValueError: one cannot be sent)."""
    for field in fields(call):
        rest = [getattr(call, field.name)]
        while rest:
            value = rest.pop()
            if isinstance(value, tuple):
                rest.extend(value)
            elif isinstance(value, str):
                _text(field.name, value)


def _task_id(name: str, value: Any) -> str:
    """Refuse an id that Mesos would not take (`validateID` in common/validation.cpp)."""
    text = _text(name, value)
    if not 0 < len(text) <= 200:
        raise ValueError(f"a task id must have 1 to 200 characters, not {len(text)}")
    if any(char in "/\\" or char.isspace() or not char.isprintable() for char in text):
        raise ValueError(f"a task id must not hold slashes, spaces or control characters: {text!r}")
    return text


def _amount(name: str, value: Any) -> float:
    number = _number(name, value)
    if number < 0:
        raise ValueError(f"{name} must not be negative: {value}")
    try:
        check_amount(name, number)
    except ResourceError:
        raise ValueError(f"{name} is more than a resource can have: {value}") from None
    return number


def _whole_amount(name: str, value: Any) -> float:
    number = _amount(name, value)
    if number != int(number):
        raise ValueError(f"{name} must be a whole number: {value}")
    return number


def _ports(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_kind(name, "how many ports are wanted, a whole number", value)
    if not 0 <= value <= MAX_PORTS:
        raise ValueError(f"{name} must be between 0 and {MAX_PORTS}: {value}")
    return value


def _resources(name: str, value: Any) -> Resources:
    if not isinstance(value, Resources):
        raise _wrong_kind(name, "a `Resources` (`Resources.parse` reads a text)", value)
    _whole_amount("gpus", value.gpus)
    return value


def _retry_policy(name: str, value: Any) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    raise _wrong_kind(name, "a `RetryPolicy`", value)


def _seconds(least: float, *, above: bool = False) -> Check:
    """Return the check of a duration that must be at least, or above, so long."""

    def check(name: str, value: Any) -> float:
        number = _number(name, value)
        if number < least or (above and number == least) or number > MAX_SECONDS:
            bound = f"more than {least:g} seconds" if above else f"at least {least:g} seconds"
            raise ValueError(f"{name} must be {bound} and at most {MAX_SECONDS:g}: {value}")
        return number

    return check


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _wrong_kind(name, "a list of texts", value)
    return tuple(_text(f"{name}[{at}]", each) for at, each in enumerate(value))


def volume_disk(size: Any, path: Any) -> Resources:
    """Return the disk of a volume (ValueError: there cannot be such a volume)."""
    where = _text("path", path)
    if not where or "/" in where or where in {".", ".."}:
        raise ValueError(f"path must be one name in the task's sandbox, as 'data': {path!r}")
    return disk_of("size", size)


def disk_of(name: str, value: Any) -> Resources:
    """Return so many MB of disk (ValueError: that cannot be)."""
    disk = Resources.of(disk=_amount(name, value))
    if not disk:
        raise ValueError(f"{name} must be more than 0 MB")
    return disk


def _volume(name: str, value: Any) -> Volume | str:
    if isinstance(value, str):
        return _text(name, value)
    if not isinstance(value, Volume):
        raise _wrong_kind(name, "a `Volume`, or the id of one that there is", value)
    volume_disk(value.size, value.path)
    if value.replace_after is not None:
        CHECKS["replace_after"]("replace_after", value.replace_after)
    return value


def _pairs(name: str, value: Any, *, secrets: bool = False) -> tuple[tuple[str, str], ...]:
    items = value.items() if isinstance(value, Mapping) else value
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise _wrong_kind(name, "a mapping of texts, or a list of pairs of them", value)
    found = []
    for at, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise _wrong_kind(f"{name}[{at}]", "a pair of a name and its value", item)
        key = _text(f"the name of {name}[{at}]", item[0])
        if not key:
            raise ValueError(f"the name of {name}[{at}] is empty")
        held = item[1].reveal() if secrets and isinstance(item[1], Secret) else item[1]
        found.append((key, _text(f"{name}[{key!r}]", held)))
    return tuple(found)


def _environment(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Check variables, as an operating system takes them; values may be `Secret`s."""
    found = _pairs(name, value, secrets=True)
    for key, held in found:
        if "=" in key or "\0" in key or "\0" in held:
            raise ValueError(
                f"{name}[{key!r}] cannot be set: a name must not contain '=' or a zero byte, nor a value a zero byte"
            )
    return found


CHECKS: Mapping[str, Check] = {
    "command": _text,
    "task_id": _task_id,
    "name": _text,
    "role": _text,
    "executor": _text,
    "cpus": _amount,
    "mem": _amount,
    "disk": _amount,
    "gpus": _whole_amount,
    "ports": _ports,
    "resources": _resources,
    "retry": _retry_policy,
    "labels": _pairs,
    "timeout": _seconds(0.0, above=True),
    "hosts": _texts,
    "attributes": _pairs,
    "environment": _environment,
    "uris": _texts,
    "kill_grace": _seconds(0.0),
    "launch_timeout": _seconds(LEAST_LAUNCH_TIMEOUT),
    "unreachable_timeout": _seconds(0.0),
    "volume": _volume,
    "replace_after": _seconds(0.0, above=True),  # of `Volume`
    "grace": _seconds(0.0),  # of `kill`
}


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_kind(name, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, not {value}")
    return number


def _wrong_kind(name: str, wanted: str, value: Any) -> ValueError:
    found = "None" if value is None else f"of type {type(value).__name__}"
    return ValueError(f"{name} must be {wanted}, not {found}")
