"""Who leads? An address, a list of addresses, or ZooKeeper: three ways to answer behind one interface.

In ZooKeeper, Mesos masters elect: the lowest `json.info_<number>` under the path leads. Its driver (kazoo, the optional extra
"zookeeper") has threads of its own; what it finds is posted to the connection's mailbox and nothing else is touched from
there. Losing ZooKeeper says nothing about the master: the last leader stays until ZooKeeper names another. Sources: Mesos
documentation, "High Availability"; src/master/detector/zookeeper.cpp.
"""

import json
import logging
from typing import TYPE_CHECKING, Any

from actors.framework_settings import FrameworkSettings
from actors.runtime import Actor, message

if TYPE_CHECKING:
    from kazoo.client import KazooClient

logger = logging.getLogger("actors.connection")

PREFIX = "json.info_"


@message
class LeaderFound:
    """A master that may be asked: `host:port` or a URL."""

    url: str


@message
class LeaderLost:
    """There is no leader for the moment."""


class ListDetector:
    """Offers the addresses of a list in turn, the next one when one fails. A list of one is the usual case."""

    def __init__(self, masters: tuple[str, ...], owner: Actor) -> None:
        self._masters = masters
        self._owner = owner
        self._next = 0

    def detect(self) -> None:
        """Find out who leads; the answer comes as `LeaderFound`, now or later."""
        self._owner.tell(self._owner.actor_ref, LeaderFound(self._masters[self._next]))

    def failed(self) -> None:
        """Hear that the master did not take the subscription, or lost it: try the next one."""
        self._next = (self._next + 1) % len(self._masters)

    def stop(self) -> None:
        """Let go of whatever it holds, which is nothing."""


class ZooKeeperError(Exception):
    """ZooKeeper cannot be used to find the master; one sentence."""


def zookeeper_address(url: str) -> tuple[str, str, str]:
    """Take `zk://[user:password@]host:port,host:port/path` apart: hosts, path, credentials.

    It names no hosts or no path: ValueError, with a sentence that never repeats credentials.
    """
    rest = url.removeprefix("zk://")
    authority, slash, path = rest.partition("/")
    auth, _, hosts = authority.rpartition("@")
    if rest == url or not hosts or not slash or not path.strip("/"):
        raise ValueError("a ZooKeeper address looks like zk://host:port,host:port/path")
    return hosts, "/" + path.strip("/"), auth


class ZooKeeperDetector:
    """Watches the election; a detector for `ConnectionActor`."""

    def __init__(self, url: str, owner: Actor) -> None:
        self._hosts, self._path, self._auth = zookeeper_address(url)
        self._owner = owner.actor_ref
        self._client: KazooClient | None = None
        self._leader: str | None = None
        self._watching: Any = None

    def detect(self) -> None:
        """Begin to watch; or, when watching already, tell who leads as far as is known."""
        if self._client is None:
            self._start()
        elif self._leader is not None:
            self._owner.tell(LeaderFound(self._leader))

    def failed(self) -> None:
        """Nothing to do: ZooKeeper says when another one leads; until then the same one is tried again."""

    def stop(self) -> None:
        """Let go of ZooKeeper."""
        client, self._client = self._client, None
        if client is not None:
            client.stop()
            client.close()

    def _start(self) -> None:
        try:
            from kazoo.client import KazooClient
        except ImportError:
            raise ZooKeeperError(
                "finding the master with ZooKeeper needs the package kazoo: pip install 'mesostic[zookeeper]'"
            ) from None
        auth = [("digest", self._auth)] if self._auth else None
        retry = {"max_tries": -1, "delay": 0.5, "max_delay": 10}
        self._client = KazooClient(
            self._hosts, auth_data=auth, read_only=True, connection_retry=retry, command_retry=retry
        )
        self._client.add_listener(self._state_changed)
        self._client.start_async()

    # --- in kazoo's threads -----------------------------------------------------------------------------------

    def _state_changed(self, state: str) -> None:
        logger.info("ZooKeeper %s: %s", self._hosts, state)
        if state == "CONNECTED" and self._watching is None and self._client is not None:
            self._watching = True
            self._client.handler.spawn(self._watch)

    def _watch(self) -> None:
        client = self._client
        if client is None:
            return
        from kazoo.exceptions import KazooException
        from kazoo.recipe.watchers import ChildrenWatch

        try:
            client.ensure_path(self._path) if not client.exists(self._path) else None
            self._watching = ChildrenWatch(client, self._path, self._children_changed)
        except KazooException as error:
            logger.warning("ZooKeeper: %s cannot be watched: %r", self._path, error)
            self._watching = None

    def _children_changed(self, children: list[str]) -> None:
        from kazoo.exceptions import KazooException

        leader = leader_of(children)
        client = self._client
        if client is None:
            return
        if leader is None:
            logger.warning(
                "ZooKeeper %s knows of no leading master at %s: is that the path of the masters' --zk, and does one run? "
                "Waiting for one",
                self._hosts,
                self._path,
            )
            self._leader = None
            self._post(LeaderLost())
            return
        try:
            data, _ = client.get(f"{self._path}/{leader}")
            address = address_in(data)
        except (KazooException, ValueError) as error:
            logger.warning("ZooKeeper: %s has unusable content: %s", leader, error)
            return  # gone again already, in which case the watch fires once more; or nothing of ours
        self._leader = address
        self._post(LeaderFound(address))

    def _post(self, news: LeaderFound | LeaderLost) -> None:
        try:
            self._owner.tell(news)
        except Exception as error:
            logger.debug("the leader could not be reported: %s", error)


def leader_of(children: list[str]) -> str | None:
    """Return the node of the leader: the lowest number (Mesos: `LeaderDetectorProcess`)."""
    candidates = [name for name in children if name.startswith(PREFIX)]
    return min(candidates, key=lambda name: name.rpartition("_")[2], default=None)


def address_in(data: bytes) -> str:
    """Return `host:port` from a master's `MasterInfo` as JSON (ValueError: it is not one)."""
    info = json.loads(data)
    if not isinstance(info, dict):
        raise ValueError("not a MasterInfo")  # noqa: TRY004 - it is the data that is wrong
    address = info.get("address") or {}
    host = address.get("hostname") or address.get("ip") or info.get("hostname")
    port = address.get("port") or info.get("port")
    if not host or not isinstance(port, int):
        raise ValueError("a MasterInfo without an address")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


Detector = ListDetector | ZooKeeperDetector


def detector_for(framework: FrameworkSettings, owner: Actor) -> Detector:
    """Make the detector that the framework's `master` setting asks for; it belongs to `owner`."""
    masters = framework.masters()
    if masters[0].startswith("zk://"):
        return ZooKeeperDetector(masters[0], owner)
    return ListDetector(masters, owner)
