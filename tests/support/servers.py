"""A real etcd and a real ZooKeeper (Debian's packages etcd-server and zookeeper), to be killed, frozen and started again.

Without pytest too: `with Etcd(folder) as etcd: …`. What a server keeps is in its folder, and it comes back at the same port.
"""

import base64
import contextlib
import json
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

PATIENCE = 30.0
"""Seconds in which a server answers after it was started, on a machine that does much else."""
FILLER = base64.b64encode(b"filler").decode()
KIND = TypeVar("KIND", bound="Server")
JAR = Path("/usr/share/java/zookeeper.jar")
NEEDED = (
    "zookeeper",
    "slf4j-simple",
    "netty-codec",
    "netty-resolver",
)  # to say on stderr what is wrong, and to speak TLS


@dataclass(frozen=True)
class ServerTls:
    """PEM files: the authority, and the server's certificate with its key; clients must show one of theirs."""

    ca: str
    certificate: str

    def write_authority(self, file: Path) -> str:
        """Write the authority's certificate without its key, which neither server expects there."""
        pem = Path(self.ca).read_text()
        file.write_text(pem[pem.index("-----BEGIN CERTIFICATE") :])
        return str(file)


class Server:
    """One server of its kind on this machine, which answers when the constructor and `restart` return."""

    name = ""
    address: str
    """host:port"""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), frozen or not; nothing listens at its port any more."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """It holds its connections and says nothing (SIGSTOP), not even what it was about to say."""
        self._signal(signal.SIGSTOP)
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task")
        while any(_state(task) not in {"T", ""} for task in tasks.iterdir()):
            time.sleep(0.001)

    def thaw(self) -> None:
        """It goes on as if no time had passed for it (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Begin again with the same data and ports, killed before or not."""
        self.kill()
        self.start_only()
        try:
            self.until_it_answers()
        except RuntimeError:
            self.kill()
            raise

    def start_only(self) -> None:
        """As `restart`, for one that is down; does not wait."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def until_it_answers(self) -> None:
        """Wait for it after `start_only`."""
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                last = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start; it said last:\n{last}")
            time.sleep(0.05)

    @property
    def memory(self) -> int:
        """Bytes that it occupies of the machine's memory."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    @property
    def disk(self) -> int:
        """Bytes on the disk of what it keeps."""
        return sum(file.stat().st_blocks * 512 for file in self.folder.rglob("*") if file.is_file())

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class Etcd(Server):
    """One etcd.

    Args:
        quota: bytes of data after which it takes no more (etcd's own is 2 GiB); 0 is etcd's own.
        user: name and password; nobody else is let in then, except "root" with the same password.
    """

    name = "etcd"

    def __init__(
        self,
        folder: Path | str,
        *,
        quota: int = 0,
        user: tuple[str, str] | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        super().__init__(folder)
        self._token = ""
        self._client, self._peer, self._metrics = free_ports(3)
        self.address = f"127.0.0.1:{self._client}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"
        self._quota, self._tls = quota, tls
        self.restart()
        if user is not None:
            self._let_in(*user)

    def fill(self) -> None:
        """Write until the quota is used up: it takes nothing more from anybody."""
        value = base64.b64encode(random.randbytes(500_000)).decode()
        with contextlib.suppress(urllib.error.HTTPError):
            while True:
                self.call("kv/put", {"key": FILLER, "value": value})

    def make_room(self) -> None:
        """Forget what was overwritten or deleted, and take data again."""
        self.call("kv/deleterange", {"key": FILLER})
        revision = self.call("kv/range", {"key": FILLER})["header"]["revision"]
        self.call("kv/compaction", {"revision": revision, "physical": True})
        self.call("maintenance/defragment", {})
        for alarm in self.call("maintenance/alarm", {}).get("alarms", ()):
            self.call("maintenance/alarm", {"action": "DEACTIVATE", **alarm})

    def call(self, method: str, body: Mapping[str, Any]) -> Any:
        """Ask over its JSON gateway, in the clear ("auth/status", "maintenance/alarm"), as root where there are users."""
        request = urllib.request.Request(f"{self.url}/v3/{method}", json.dumps(body).encode())
        if self._token:
            request.add_header("Authorization", self._token)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def _let_in(self, user: str, password: str) -> None:
        everything = {"permType": "READWRITE", "key": base64.b64encode(b"\0").decode()}
        self.call("auth/role/add", {"name": "all"})
        self.call("auth/role/grant", {"name": "all", "perm": everything | {"range_end": everything["key"]}})
        self.call("auth/role/add", {"name": "root"})
        for name, role in (("root", "root"), (user, "all")):
            self.call("auth/user/add", {"name": name, "password": password})
            self.call("auth/user/grant", {"user": name, "role": role})
        self.call("auth/enable", {})
        self._token = self.call("auth/authenticate", {"name": "root", "password": password})["token"]

    def _command(self) -> Sequence[str]:
        peer = f"http://127.0.0.1:{self._peer}"
        command = ["etcd", "--name", "one", "--data-dir", "data", "--logger", "zap", "--log-level", "error"]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += [
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"one={peer}",
        ]
        command += ["--listen-metrics-urls", f"http://127.0.0.1:{self._metrics}"]
        if self._quota:
            command += ["--quota-backend-bytes", str(self._quota)]
        if self._tls:
            command += ["--cert-file", self._tls.certificate, "--key-file", self._tls.certificate]
            command += [
                "--trusted-ca-file",
                self._tls.write_authority(self.folder / "ca.pem"),
                "--client-cert-auth",
            ]
        return command

    def _answers(self) -> bool:
        url = f"http://127.0.0.1:{self._metrics}/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1.0) as answer:
            return bool(json.load(answer)["health"] == "true")
        return False


class ZooKeeper(Server):
    """One ZooKeeper. Sessions last 1 to 60 s, as the client asks."""

    name = "ZooKeeper"

    def __init__(self, folder: Path | str, *, tls: ServerTls | None = None, megabytes: int = 512) -> None:
        super().__init__(folder)
        self._plain, secure = free_ports(2)
        self._megabytes = megabytes
        self.address = f"127.0.0.1:{secure if tls else self._plain}"
        config = {
            "tickTime": 500,
            "maxSessionTimeout": 60_000,
            "dataDir": "data",
            "clientPort": self._plain,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
        }
        if tls:
            config |= {
                "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
                "secureClientPort": secure,
                "secureClientPortAddress": "127.0.0.1",
                "ssl.keyStore.location": tls.certificate,
                "ssl.keyStore.type": "PEM",
                "ssl.trustStore.location": tls.write_authority(self.folder / "ca.pem"),
                "ssl.trustStore.type": "PEM",
                "ssl.hostnameVerification": "false",  # of clients
            }
        (self.folder / "zoo.cfg").write_text("".join(f"{name}={value}\n" for name, value in config.items()))
        self.restart()

    def _command(self) -> Sequence[str]:
        command = ["java", f"-Xmx{self._megabytes}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += [
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            ":".join(str(JAR.with_stem(each)) for each in NEEDED),
        ]
        return [*command, "org.apache.zookeeper.server.ZooKeeperServerMain", "zoo.cfg"]

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._plain), 1.0) as asking,
        ):
            asking.sendall(b"srvr")
            return b"version" in asking.recv(1000)
        return False


def _state(task: Path) -> str:
    """The state of a thread in one letter; "" if it has ended."""
    with contextlib.suppress(OSError):
        return (task / "stat").read_text().rpartition(") ")[2][:1]
    return ""


def free_ports(count: int) -> list[int]:
    """Ports where nothing listens, outside those that the kernel gives to connections: one could take it while a server is down.

    They are this process's until it ends: no other one is given them, although their server may be down for a while.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0mesostic test port {port}")  # a name in the kernel, which goes with this process
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        claim.detach()  # stays open
        ports.append(port)
    return ports


def missing(kind: type[Server]) -> str:
    """Say how to install what is not on this machine; "" if it is."""
    if kind is Etcd and not shutil.which("etcd"):
        return "etcd is not installed (Debian: apt-get install etcd-server)"
    if kind is ZooKeeper and not (shutil.which("java") and JAR.exists()):
        return "ZooKeeper is not installed (Debian: apt-get install zookeeper)"
    return ""


@pytest.fixture(scope="session")
def _one_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    yield from _one(Etcd, tmp_path_factory)


@pytest.fixture(scope="session")
def _one_zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    yield from _one(ZooKeeper, tmp_path_factory)


def _one(kind: type[KIND], folders: pytest.TempPathFactory) -> Iterator[KIND]:
    if reason := missing(kind):
        pytest.skip(reason)
    with kind(folders.mktemp(kind.name)) as server:
        yield server


@pytest.fixture
def etcd(_one_etcd: Etcd) -> Etcd:
    """The one of this run, running, whatever the test before did to it; have a prefix of your own in it."""
    return _running(_one_etcd)


@pytest.fixture
def zookeeper(_one_zookeeper: ZooKeeper) -> ZooKeeper:
    """As `etcd`."""
    return _running(_one_zookeeper)


def _running(server: KIND) -> KIND:
    if server.process is None or server.process.poll() is not None:
        server.restart()
    server.thaw()
    return server
