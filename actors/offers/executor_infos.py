"""Executors as the agents know them: one `ExecutorInfo` for each way in which an executor's resources can be had.

Mesos holds that one executor id has one `ExecutorInfo` on an agent, resources included, so the id carries a hash of the
whole: `<name>-<hash>`. What was built once is remembered, and recognised when an offer says that it runs on its agent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from actors.messages import ExecutorTemplate
from mesos_v1 import pb
from mesos_v1.resources import Resources
from mesos_v1.values import ExecutorId

NOTHING = Resources()


class ExecutorBook:
    """The executors of a framework, by name and by id."""

    def __init__(self, templates: Iterable[ExecutorTemplate] = (), roles: Iterable[str] = ()) -> None:
        self._templates = {template.name: template for template in templates}
        self._names: dict[ExecutorId, str] = {}
        self._infos: dict[ExecutorId, pb.mesos.ExecutorInfo] = {}
        self._ids: dict[tuple[str, Resources], ExecutorId] = {}
        for template in self._templates.values():
            for role in roles:  # so that those of an earlier run of the scheduler are recognised
                self.variant(template.name, template.resources.allocate(role))

    def __contains__(self, name: object) -> bool:
        return name in self._templates

    def resources_of(self, name: str) -> Resources:
        """Return what an executor itself needs; nothing for one that is not known."""
        template = self._templates.get(name)
        return template.resources if template is not None else NOTHING

    def size_of(self, name: str) -> int:
        """Return about how many bytes an executor's description adds to each task; 0 for one that is not known."""
        template = self._templates.get(name)
        return len(template.info) if template is not None else 0

    def name_of(self, executor_id: ExecutorId) -> str | None:
        """Return which of our executors an id belongs to, or None."""
        return self._names.get(executor_id)

    def info(self, executor_id: ExecutorId) -> pb.mesos.ExecutorInfo:
        """Return the description that belongs to an id made by `variant`; not to be changed."""
        return self._infos[executor_id]

    def variant(self, name: str, resources: Resources) -> ExecutorId:
        """Return the id of an executor that runs on just these resources."""
        known = self._ids.get((name, resources))
        if known is not None:
            return known
        info = pb.mesos.ExecutorInfo()
        info.MergeFromString(self._templates[name].info)
        info.resources.extend(resources.to_proto())
        digest = hashlib.sha256(info.SerializePartialToString(deterministic=True)).hexdigest()[:10]
        executor_id = ExecutorId(f"{name}-{digest}")
        info.executor_id.value = executor_id
        self._ids[name, resources] = executor_id
        self._names[executor_id] = name
        self._infos[executor_id] = info
        return executor_id
