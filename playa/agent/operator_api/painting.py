"""The picture of an agent for operators, made from its books."""

from mesos_v1 import pb
from mesos_v1.resources import Resources
from playa.agent.books import ExecutorRecord, FrameworkRecord, TaskRecord, task_proto
from playa.agent.context import AgentContext
from playa.agent.messages import AgentPicture, ExecutorPicture, TaskPicture
from playa.agent.operations import Operations


def paint(context: AgentContext, operations: Operations, start_time: float) -> AgentPicture:
    """What the agent knows at this moment."""
    executors: list[ExecutorPicture] = []
    tasks: list[TaskPicture] = []
    allocated = Resources()
    for framework in context.frameworks.values():
        for executor in framework.executors.values():
            allocated += Resources.from_proto(executor.info.resources)
            executors.append(_executor(executor, executor.state.value))
            for task in executor.tasks.values():
                if task.phase.value in {"QUEUED", "LAUNCHED"}:
                    allocated += Resources.from_proto(task.info.resources)
                tasks.append(_task(context, framework, executor, task))
            tasks.extend(_task(context, framework, executor, task) for task in executor.completed)
    for framework in (*context.frameworks.values(), *context.completed_frameworks):
        for executor in framework.completed:
            executors.append(_executor(executor, "COMPLETED"))
            tasks.extend(_task(context, framework, executor, task) for task in executor.completed)
    return AgentPicture(
        agent_info=context.info.SerializeToString(),
        resources=_bytes(operations.total),
        allocated=_bytes(allocated),
        frameworks=tuple(f.info.SerializeToString() for f in context.frameworks.values()),
        completed_frameworks=tuple(f.info.SerializeToString() for f in context.completed_frameworks),
        executors=tuple(executors),
        tasks=tuple(tasks),
        operations=tuple(o.SerializeToString() for o in operations.operations.values()),
        drain=None if context.drain is None else context.drain.SerializeToString(),
        drain_started=context.drain_started,
        pid=context.pid,
        start_time=start_time,
        time=context.time(),
    )


def _bytes(resources: Resources) -> tuple[bytes, ...]:
    return tuple(r.SerializeToString() for r in resources.to_proto())


def _executor(executor: ExecutorRecord, state: str) -> ExecutorPicture:
    return ExecutorPicture(
        framework_id=executor.framework_id,
        info=executor.info.SerializeToString(),
        container_id=executor.container_id,
        sandbox=executor.sandbox,
        pid=executor.pid,
        state=state,
        command_task=executor.for_command_task,
    )


def _task(
    context: AgentContext, framework: FrameworkRecord, executor: ExecutorRecord, task: TaskRecord
) -> TaskPicture:
    head = context.streams.head(framework.framework_id, task.task_id)
    in_flight = None if head is None else pb.mesos.TaskStatus.FromString(head.status)
    proto = task_proto(framework.framework_id, executor, task, in_flight)
    return TaskPicture(
        proto.SerializeToString(), executor.executor_id, executor.container_id, task.phase.value
    )
