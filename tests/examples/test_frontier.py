"""The crawl logic: what is visited, in which order, and when it is over. No actors, no time but a number."""

import pytest

from examples.rendler.frontier import Frontier, Limits, picture_name
from examples.rendler.messages import Crawled, PageRecord, PageState, Rendered

SEED = "http://s.example/"
NOW = 100.0


def url(name):
    return f"http://s.example/{name}"


def page(address, *names, **values):
    links = tuple(name if "://" in name else url(name) for name in names)
    return Crawled(address, values.pop("status", 200), "text/html", links=links, **values)


def frontier(*, render=False, delay=0.0, **limits):
    made = Frontier(Limits(**limits), delay=delay, render=render)
    made.start(SEED)
    return made


def take(crawl):
    taken = []
    while (record := crawl.next_crawl(NOW)) is not None:
        taken.append(record.url)
    return taken


def test_pages_are_visited_breadth_first_and_once():
    crawl = frontier()
    assert take(crawl) == [SEED]
    crawl.crawled(page(SEED, "a", "b"))
    assert take(crawl) == [url("a"), url("b")]
    crawl.crawled(page(url("a"), "b", "c", ""))
    crawl.crawled(page(url("b"), "a", "c"))
    assert take(crawl) == [url("c")]
    crawl.crawled(page(url("c")))
    assert crawl.is_done
    assert crawl.counts["crawled"] == 4


def test_it_is_not_done_while_something_is_under_way():
    crawl = frontier()
    assert not crawl.is_done
    take(crawl)
    assert not crawl.is_done
    crawl.crawled(page(SEED))
    assert crawl.is_done


def test_it_stays_on_the_site_of_the_seed():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "a", "http://other.example/", "https://www.s.example/b"))
    assert take(crawl) == [url("a"), "https://www.s.example/b"]


def test_other_sites_only_when_told():
    crawl = frontier(other_sites=True)
    take(crawl)
    crawl.crawled(page(SEED, "http://other.example/"))
    assert take(crawl) == ["http://other.example/"]
    crawl = frontier(sites=("cdn.example",))
    take(crawl)
    crawl.crawled(page(SEED, "http://other.example/", "http://cdn.example/x"))
    assert take(crawl) == ["http://cdn.example/x"]


def test_a_limit_of_pages_counts_what_it_leaves_out():
    crawl = frontier(max_pages=2)
    take(crawl)
    crawl.crawled(page(SEED, "a", "b", "c"))
    assert take(crawl) == [url("a")]
    assert len(crawl.left_out) == 2


def test_a_limit_of_depth():
    crawl = frontier(max_depth=1)
    take(crawl)
    crawl.crawled(page(SEED, "a"))
    take(crawl)
    crawl.crawled(page(url("a"), "b"))
    assert crawl.is_done


def test_a_failed_page_never_stops_the_crawl():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "a", "b"))
    take(crawl)
    failed = crawl.crawl_failed(url("a"), "HTTP 503 Service Unavailable", attempts=5)
    assert (failed.state, failed.status, failed.attempts) == (PageState.FAILED, 503, 5)
    crawl.crawled(page(url("b")))
    assert crawl.is_done
    assert crawl.counts["failed"] == 1


def test_errors_and_skipped_pages_are_told_apart():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "gone", "doc.pdf"))
    take(crawl)
    assert crawl.crawled(page(url("gone"), status=404, error="HTTP 404 Not Found")).state is PageState.FAILED
    assert crawl.crawled(page(url("doc.pdf"), error="not HTML", skipped=True)).state is PageState.SKIPPED


def test_results_that_come_twice_change_nothing():
    crawl = frontier()
    take(crawl)
    assert crawl.crawled(page(SEED, "a")) is not None
    assert crawl.crawled(page(SEED, "a", "b")) is None
    assert crawl.crawl_failed(SEED, "late", attempts=1) is None
    assert crawl.pages[SEED].links == (url("a"),)
    assert crawl.counts["crawled"] == 1


def test_results_that_nobody_asked_for_change_nothing():
    crawl = frontier()
    assert crawl.crawled(page(url("stranger"), "x")) is None
    assert crawl.rendered(Rendered(url("stranger"), "p.png", "t.jpg")) is None
    assert crawl.render_failed(url("stranger"), "no", attempts=1) is None


def test_a_redirect_is_followed_as_a_page_of_its_own():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "old"))
    take(crawl)
    record = crawl.crawled(page(url("old"), status=301, redirect=url("new")))
    assert record.state is PageState.REDIRECT
    assert take(crawl) == [url("new")]
    assert crawl.pages[url("new")].depth == 1


def test_a_ring_of_redirects_ends():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, status=302, redirect=url("a")))
    take(crawl)
    crawl.crawled(page(url("a"), status=302, redirect=SEED))
    assert crawl.is_done


def test_an_endless_chain_of_redirects_ends():
    crawl = frontier(max_redirects=10)
    hops = 0
    while taken := take(crawl):
        hops += 1
        record = crawl.crawled(page(taken[0], status=302, redirect=url(f"hop{hops}")))
    assert hops == 11
    assert record.state is PageState.FAILED
    assert "redirects" in record.error


def test_a_seed_that_has_moved_takes_the_crawl_with_it():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, status=301, redirect="https://moved.example/"))
    assert take(crawl) == ["https://moved.example/"]
    crawl.crawled(page("https://moved.example/", "https://moved.example/a"))
    assert take(crawl) == ["https://moved.example/a"]


def test_a_redirect_off_the_site_is_not_followed():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "out"))
    take(crawl)
    crawl.crawled(page(url("out"), status=301, redirect="http://other.example/"))
    assert crawl.is_done


def test_a_page_that_asks_not_to_be_followed_is_not():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "a", follow=False))
    assert crawl.is_done


def test_crawled_pages_get_a_picture_and_others_do_not():
    crawl = frontier(render=True)
    take(crawl)
    crawl.crawled(page(SEED, "gone"))
    assert crawl.next_render(NOW).url == SEED
    take(crawl)
    crawl.crawled(page(url("gone"), status=404, error="HTTP 404"))
    assert crawl.next_render(NOW) is None
    assert not crawl.is_done
    record = crawl.rendered(Rendered(SEED, "p.png", "t.jpg"), attempts=2)
    assert (record.picture, record.picture_attempts) == ("p.png", 2)
    assert crawl.rendered(Rendered(SEED, "q.png", "t.jpg")) is None
    assert crawl.is_done


def test_a_picture_that_fails_leaves_the_page_crawled():
    crawl = frontier(render=True)
    take(crawl)
    crawl.crawled(page(SEED))
    crawl.next_render(NOW)
    record = crawl.render_failed(SEED, "did not load", attempts=5)
    assert record.state is PageState.CRAWLED
    assert record.picture_error == "did not load"
    assert crawl.is_done


def test_pictures_have_a_limit_too():
    crawl = frontier(render=True, max_pictures=1)
    take(crawl)
    crawl.crawled(page(SEED, "a"))
    take(crawl)
    crawl.crawled(page(url("a")))
    assert (len(crawl.crawls), len(crawl.renders)) == (0, 1)


def test_rendering_can_be_given_up():
    crawl = frontier(render=True)
    take(crawl)
    crawl.crawled(page(SEED, "a"))
    crawl.stop_rendering()
    take(crawl)
    crawl.crawled(page(url("a")))
    assert crawl.is_done


def test_stopping_empties_the_queues_and_waits_for_what_is_under_way():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "a", "b", "c"))
    crawl.next_crawl(NOW)
    assert crawl.stop() == 2
    assert not crawl.is_done
    crawl.crawled(page(url("a"), "d"))
    assert crawl.is_done, "what is found while ending is not visited"


def test_a_host_is_left_alone_between_two_visits():
    crawl = frontier(delay=2.0, render=True)
    assert take(crawl) == [SEED]
    crawl.crawled(page(SEED, "a"))
    assert take(crawl) == []
    assert crawl.next_at(NOW) == NOW + 2
    assert crawl.next_crawl(NOW + 2).url == url("a")
    assert crawl.next_render(NOW + 2) is None
    assert crawl.next_render(NOW + 4).url == SEED


def test_the_delay_that_a_site_asks_for_is_kept_to():
    crawl = frontier()
    take(crawl)
    crawl.crawled(page(SEED, "a", "b", crawl_delay=3.0))
    assert take(crawl) == [url("a")]
    assert crawl.next_at(NOW) == NOW + 3


def test_an_earlier_run_is_taken_over():
    first = frontier(render=True)
    take(first)
    first.crawled(page(SEED, "a", "b", "c"))
    take(first)
    first.crawled(page(url("a"), "d"))
    first.crawl_failed(url("b"), "no answer", attempts=5)
    first.next_render(NOW)
    first.rendered(Rendered(SEED, "p.png", "t.jpg"))
    records = [first.pages[address] for address in (SEED, url("a"), url("b"), url("c"))]

    second = Frontier(Limits(), render=True)
    assert second.restore(records) == 2
    second.start(SEED)
    assert take(second) == [url("b"), url("c"), url("d")]
    rendered = second.next_render(NOW)
    assert rendered is not None
    assert rendered.url == url("a")
    assert second.next_render(NOW) is None
    assert second.counts["pictures"] == 1


@pytest.mark.parametrize(
    ("address", "beginning"),
    [
        ("http://s.example/", "index-"),
        ("http://s.example/a/b.html?x=1", "a-b-"),
        ("http://s.example/%C3%BC", "c3-bc-"),
    ],
)
def test_pictures_have_readable_and_distinct_names(address, beginning):
    name = picture_name(PageRecord(address))
    assert name.startswith(beginning)
    assert name != picture_name(PageRecord(address + "?other"))
    assert picture_name(PageRecord(address)) == name
