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
        "How much a nested container's status says in the first milliseconds is a race in Mesos: the same kind of update "
        "was recorded with and without these fields.",
    ),
    (
        "task_group_on_the_default_executor",
        r"^end scheduler: \{\"type\": \"FAILURE\"",
        "The recorder tore its framework down in the moment in which the executor ended; here it ends sooner.",
    ),
    (
        "operator_api",
        r"\.get_flags\.flags: |response\.body\.(\"?[a-z_]+/[^:]*): missing",
        "Flags and metrics of parts that the embedded cluster does not have (replicated log, rate limits, cgroups, "
        "system) are left out; those that are there have Mesos's names.",
    ),
]
