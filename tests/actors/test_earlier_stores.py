"""A store that an earlier version has written is taken over as it was meant: `stores/` has a file of each.

`layout_2.sqlite` was left by a kill -9 of the first version that had checksums: one command had ended, one had failed for good,
one was running, one was waiting an hour for its second attempt, and one waited for more CPUs than there were.
"""

import shutil
from collections import deque
from pathlib import Path

import pytest

from actors import messages as m
from actors.messages import TaskPhase
from actors.records import PROGRESS, SPEC, TaskProgress
from actors.runtime import unpack_value
from actors.scheduler_actor import SchedulerActor
from tests.actors.test_kept_state import Tally, records_of
from tests.actors.test_scheduler_actor import composition, play
from tests.support.simulated_master import simulated_master

STORES = Path(__file__).parent / "stores"


@pytest.fixture
def earlier(tmp_path):
    path = tmp_path / "s.db"
    shutil.copy(STORES / "layout_2.sqlite", path)
    return path


def test_the_store_of_the_earlier_version_knows_nothing_of_what_was_added_since():
    """Else this shows nothing."""
    known = (STORES / "layout_2.sqlite").read_bytes()
    for added in (b"within", b"setbacks", b"author-state"):
        assert added not in known


async def test_tasks_of_an_earlier_version_go_on_where_they_were(earlier):
    class TakesOver(SchedulerActor):
        state = Tally()
        heard: list[object] = []  # noqa: RUF012

        def on_reregistered(self, event):
            self.heard.append((event.resumed, self.state, self.given_up()))
            self.launch(command="true", task_id="ended")

        def on_task_update(self, update):
            if update.phase == "launching":
                self.heard.append(update.attempt_id)

        def on_task_finished(self, done):
            self.heard.append(done.task_id)
            self.state = Tally(self.state.count + 1)
            if self.state.count == 2:
                self.leave(0)

    async with simulated_master() as master:
        master.states["running.1"] = "TASK_RUNNING"
        master.known["running.1"] = deque([("TASK_FINISHED", b"", b"u" * 16)])
        outcome = await play(composition(master, TakesOver, store=str(earlier)))
        assert outcome == m.Outcome(0, "left")
        launched = [info.task_id.value for info in master.launched]
    assert TakesOver.heard[0] == (3, Tally(), ())
    assert {"running", "ended", "ended.2"} <= set(TakesOver.heard[1:])
    assert launched == ["ended.2"], "what had ended has a number that was not used; the other two wait"
    left = SPEC.read(records_of(earlier, SPEC.name))
    assert set(left) == {"failing", "too-large"}
    assert {spec.retry.within for spec in left.values()} == {None}
    (progress,) = (
        unpack_value(TaskProgress, record.value)
        for record in records_of(earlier, PROGRESS.name)
        if record.key == "failing"
    )
    assert (progress.phase, progress.failures, progress.setbacks) == (TaskPhase.BACKING_OFF, 1, ())
