"""The built-in actors by name, and which class stands behind a name in a composition."""

from __future__ import annotations

from collections.abc import Mapping

from actors.connection_actor import ConnectionActor
from actors.offer_actor import OfferActor
from actors.reconciler_actor import ReconcilerActor
from actors.runtime import Actor, NoSettings
from actors.server_actor import ServerActor
from actors.settings import ActorSpec, Composition
from actors.store_actor import StoreActor

# The scheduler stands first in a composition, but is the author's: see `actors.composition.BUILT_IN`.
SERVANTS: Mapping[str, type[Actor]] = {
    "connection": ConnectionActor,
    "offers": OfferActor,
    "reconciler": ReconcilerActor,
    "store": StoreActor,
    "server": ServerActor,
}


def spec_of(composition: Composition, name: str) -> ActorSpec:
    """Return what the composition says of a built-in actor, or its defaults."""
    found = composition.spec(name)
    if found is not None:
        return found
    cls = SERVANTS[name]
    return ActorSpec(name, cls, getattr(cls, "Settings", NoSettings)())
