"""Where the embedded cluster deliberately differs from the recordings of a real Mesos 1.12, each with its reason.

A difference is (scenario, or "*" for all; a regular expression that a reported difference matches; the reason).
"""

DIFFERENCES: list[tuple[str, str, str]] = [
    (
        "*",
        r"^end scheduler: \{\"type\": \"OFFERS\"",
        "Whether one more batch allocation falls before the end of a scenario is a matter of its phase.",
    ),
    (
        "protobuf_stream",
        r"closed: the stream was closed",
        "The recorder ended by killing the master; here the cluster outlives the scenario.",
    ),
    (
        "task_group_on_the_default_executor",
        r"container_status\.(network_infos|executor_pid): missing",
        "How much a nested container's first statuses say is a race in Mesos: recorded with these fields and without.",
    ),
    (
        "task_group_on_the_default_executor",
        r"^end scheduler: \{\"type\": \"FAILURE\"",
        "The recorder tore its framework down in the moment in which the executor ended; here it ends sooner.",
    ),
    (
        "kill_task",
        r"UPDATE/stubborn.*signal Terminated' was recorded, 'Command terminated with signal Killed' came",
        (
            "The recorded kill came 0.1 s after the launch, when Mesos's launcher had not yet become the shell that traps "
            "SIGTERM. Here the shell is there at once, its trap holds, and the grace period ends with SIGKILL."
        ),
    ),
    (
        "quota_checks",
        r"is not contained within the 'QuotaConfig.limits'",
        "Mesos prints the guarantees and limits of a message in the order of a hash table; here they are as they came.",
    ),
    (
        "operator_api",
        r"agent_info\.checkpoint: missing; true was recorded",
        "Mesos prints a field of its internal SlaveInfo here; the V1 AgentInfo has none of that name.",
    ),
    (
        "operator_api",
        r"\.get_flags\.flags: |response\.body\.(\"?[a-z_]+/[^:]*): missing",
        "Flags and metrics of parts that the embedded cluster lacks are left out; the others have Mesos's names.",
    ),
]
