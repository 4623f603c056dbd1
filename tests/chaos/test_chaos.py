"""A short chaos run on each store; `make chaos` does long ones. And what a seed decides."""

from collections import Counter

import pytest

from tests.chaos.plan import STORES, plan_of
from tests.chaos.run import SERVER_OF, chaos
from tests.support.servers import missing


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
async def test_a_framework_goes_through_ten_seconds_of_chaos_without_losing_anything(store, tmp_path):
    if store in SERVER_OF and (why := missing(SERVER_OF[store])):
        pytest.skip(why)
    run, broken = await chaos(tmp_path / "chaos", 1, store, seconds=10.0, tasks=400)
    assert not broken, f"{broken}; see {run.folder}"
    assert len(run.done) >= 7, run.done


@pytest.mark.parametrize("store", STORES)
def test_a_seed_decides_all_that_goes_wrong(store):
    plans = [plan_of(seed, store) for seed in range(50)]
    assert plans == [plan_of(seed, store) for seed in range(50)]
    assert len(set(plans)) == 50
    assert len({frozenset(Counter(fault.kind for fault in plan).items()) for plan in plans}) == 1, (
        "all kinds in each"
    )


@pytest.mark.parametrize("store", STORES)
def test_a_run_has_at_least_twenty_faults_each_half_minute(store):
    assert len(plan_of(1, store)) >= 25
    assert len(plan_of(1, store, 60.0)) == 2 * len(plan_of(1, store))
    assert all(0 <= fault.at <= 10 for fault in plan_of(1, store, 10.0))
