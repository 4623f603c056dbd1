"""Queues that keep to the delay of each host; the time is a number that the test gives."""

from examples.rendler.frontier import Politeness, PoliteQueue


def drain(queue, now):
    taken = []
    while (url := queue.take(now)) is not None:
        taken.append(url)
    return taken


def test_without_a_delay_it_is_first_come_first_served_across_hosts():
    queue = PoliteQueue(Politeness(0))
    urls = [f"http://{host}.example/{n}" for n in range(3) for host in "abc"]
    for url in urls:
        queue.put(url)
    assert drain(queue, 0.0) == urls


def test_a_host_is_asked_once_in_each_delay():
    queue = PoliteQueue(Politeness(2.0))
    for n in range(3):
        queue.put(f"http://a.example/{n}")
    assert drain(queue, 10.0) == ["http://a.example/0"]
    assert queue.next_at(10.0) == 12.0
    assert drain(queue, 11.9) == []
    assert drain(queue, 12.0) == ["http://a.example/1"]
    assert len(queue) == 1


def test_one_host_does_not_hold_up_another():
    queue = PoliteQueue(Politeness(2.0))
    for url in ("http://a.example/1", "http://a.example/2", "http://b.example/1"):
        queue.put(url)
    assert drain(queue, 0.0) == ["http://a.example/1", "http://b.example/1"]


def test_two_queues_share_the_delay_of_a_host():
    politeness = Politeness(2.0)
    crawl, render = PoliteQueue(politeness), PoliteQueue(politeness)
    crawl.put("http://a.example/1")
    render.put("http://a.example/2")
    assert crawl.take(0.0) == "http://a.example/1"
    assert render.take(1.0) is None
    assert render.next_at(1.0) == 2.0
    assert render.take(2.0) == "http://a.example/2"


def test_this_machine_is_exempt_unless_it_asks():
    politeness = Politeness(2.0)
    assert politeness.delay("http://127.0.0.1:8000/") == 0
    politeness.ask_for("http://127.0.0.1:8000/", 0.5)
    assert politeness.delay("http://127.0.0.1:8000/x") == 0.5


def test_the_longer_delay_is_kept_to():
    politeness = Politeness(2.0)
    politeness.ask_for("http://a.example/", 0.5)
    assert politeness.delay("http://a.example/") == 2.0
    politeness.ask_for("http://a.example/", 5.0)
    assert politeness.delay("http://a.example/") == 5.0


def test_an_empty_queue_has_nothing_to_wait_for():
    queue = PoliteQueue(Politeness(2.0))
    assert queue.next_at(0.0) is None
    queue.put("http://a.example/1")
    assert queue.next_at(0.0) == 0.0
    assert queue.clear() == 1
    assert queue.next_at(0.0) is None
    assert queue.take(0.0) is None


def test_a_host_can_be_queued_again_while_it_waits():
    queue = PoliteQueue(Politeness(1.0))
    queue.put("http://a.example/1")
    assert queue.take(0.0) == "http://a.example/1"
    queue.put("http://a.example/2")
    assert queue.take(0.5) is None
    assert queue.take(1.0) == "http://a.example/2"
    assert len(queue) == 0
