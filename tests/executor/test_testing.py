import pytest

from actors.runtime import EncodeError
from executor.author import BadExecutor, Executor, TaskContext, TaskFailed, task
from executor.testing import ExecutorUnderTest, run_task
from tests.executor.authors import (
    Add,
    Block,
    Everything,
    EverythingSettings,
    Fail,
    Give,
    Nobody,
    Send,
    Sum,
    Talk,
)


async def test_one_task_is_run_without_mesos():
    assert await run_task(Everything, Add(1, 2)) == Sum(3)
    assert await run_task(Everything, Add(1, 2), settings=EverythingSettings(factor=5)) == Sum(15)
    assert await run_task(Everything) == Talk("no payload")


async def test_what_a_task_does_besides_is_recorded(tmp_path):
    async with ExecutorUnderTest(Everything, sandbox=tmp_path) as under_test:
        await under_test.run(Send("a.txt", 3))
        assert await under_test.run(Send("b.file", 4)) == Talk("b.file http://test/uploads/b.file 4")
        await under_test.run(Talk("hi"))
        under_test.recorded.killed = True
        await under_test.run(Block(60, polite=True))
    assert under_test.recorded.uploads == {"a.txt": b"xxx", "b.file": b"ffff"}
    assert under_test.recorded.progress == ["10%", "20%", "30%", Sum(40)]
    assert under_test.recorded.messages[-1] == Talk("main thread: False")


async def test_a_test_fails_where_a_real_run_would():
    with pytest.raises(TaskFailed, match="no such page"):
        await run_task(Everything, Fail("permanent"))
    with pytest.raises(EncodeError):
        await run_task(Everything, Give("list"))
    with pytest.raises(ValueError, match="the result has .* at most 1,048,576 are taken"):
        await run_task(Everything, Give("large"))
    with pytest.raises(BadExecutor, match="no @task method for a payload of type Nobody"):
        await run_task(Everything, Nobody())


async def test_a_task_under_test_is_given_ports():
    class Serves(Executor):
        @task
        def serve(self, add: Add, context: TaskContext) -> str:
            return ",".join(map(str, context.ports))

    async with ExecutorUnderTest(Serves) as under_test:
        assert await under_test.run(Add(1, 2), ports=(31000, 31001)) == "31000,31001"
        assert await under_test.run(Add(1, 2)) == ""


async def test_an_executor_under_test_has_a_sandbox_of_its_own_that_goes_with_it(tmp_path):
    async with ExecutorUnderTest(Everything) as under_test:
        made = under_test.executor.sandbox
        assert list(made.iterdir()) == []
        assert made.is_absolute()
    assert not made.exists()
    async with ExecutorUnderTest(Everything, sandbox=tmp_path) as under_test:
        assert under_test.executor.sandbox == tmp_path
    assert tmp_path.exists()
