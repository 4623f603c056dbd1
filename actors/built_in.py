"""The built-in actors by name, and which class stands behind a name in a composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from actors.connection_actor import ConnectionActor
from actors.failure_actor import FailureActor
from actors.offer_actor import OfferActor
from actors.reconciler_actor import ReconcilerActor
from actors.runtime import Actor, NoSettings
from actors.server_actor import ServerActor
from actors.settings import ActorSpec, Composition
from actors.store_actor import StoreActor
from actors.task_actor import TaskActor

# The scheduler stands first in a composition, but is the author's: see `actors.composition.BUILT_IN`.
SERVANTS: Mapping[str, type[Actor]] = {
    "connection": ConnectionActor,
    "offers": OfferActor,
    "reconciler": ReconcilerActor,
    "failures": FailureActor,
    "store": StoreActor,
    "server": ServerActor,
}

# Not one actor but the class of every task's.
TASK = "task"


def task_class(composition: Composition) -> type[TaskActor]:
    """Return what tasks are run by: `TaskActor`, or the subclass that the composition names."""
    spec = composition.spec(TASK)
    return cast("type[TaskActor]", spec.cls) if spec is not None else TaskActor


def spec_of(composition: Composition, name: str) -> ActorSpec:
    """Return what the composition says of a built-in actor, or its defaults."""
    found = composition.spec(name)
    if found is not None:
        return found
    cls = SERVANTS[name]
    return ActorSpec(name, cls, getattr(cls, "Settings", NoSettings)())
