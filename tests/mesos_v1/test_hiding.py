"""Messages of Mesos without environments, credentials and secrets."""

from mesos_v1 import pb
from mesos_v1.hiding import HIDDEN, hidden

WORD = "s3cr3t-word"


def _same(data):
    return data


def test_values_of_environments_are_hidden_and_names_are_not():
    info = pb.mesos.TaskInfo(name="t")
    info.task_id.value = "t.1"
    info.agent_id.value = "a"
    for command in (
        info.command,
        info.executor.command,
        info.check.command.command,
        info.health_check.command,
    ):
        command.environment.variables.add(name="KEY", value=WORD)
    shown = hidden(pb.mesos.TaskInfo, info.SerializePartialToString(), _same)
    assert WORD.encode() not in shown
    read = pb.mesos.TaskInfo()
    read.MergeFromString(shown)
    assert [(v.name, v.value) for v in read.command.environment.variables] == [("KEY", HIDDEN)]
    assert (read.name, read.task_id.value) == ("t", "t.1")


def test_secrets_in_volumes_and_in_maps_are_hidden():
    info = pb.mesos.ContainerInfo(type=pb.mesos.ContainerInfo.MESOS)
    volume = info.volumes.add(container_path="/x", mode=pb.mesos.Volume.RO)
    volume.source.secret.type = pb.mesos.Secret.VALUE
    volume.source.secret.value.data = WORD.encode()
    static = volume.source.csi_volume.static_provisioning
    static.volume_context["plain"] = "kept"
    static.node_publish_secrets["one"].value.data = WORD.encode()
    info.docker.image = "image"
    shown = hidden(pb.mesos.ContainerInfo, info.SerializePartialToString(), _same)
    assert WORD.encode() not in shown
    assert b"kept" in shown
    assert b"image" in shown


def test_other_bytes_are_handed_over_and_what_is_no_message_is_told_by_its_size():
    info = pb.mesos.TaskInfo(name="t", data=WORD.encode())
    shown = hidden(pb.mesos.TaskInfo, info.SerializePartialToString(), lambda data: data.upper())
    assert WORD.upper().encode() in shown
    assert hidden(pb.mesos.TaskInfo, b"\xff\xff", _same) == b"(2 bytes)"
