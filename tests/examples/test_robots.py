"""robots.txt, as RFC 9309 says."""

from examples.rendler.web import MAX_CRAWL_DELAY, Rules, robots_url

TEXT = b"User-agent: *\nDisallow: /private/\nCrawl-delay: 2\n\nUser-agent: guest\nDisallow: /\nCrawl-delay: 3600\n"


def test_where_the_rules_are():
    assert robots_url("https://host.example:81/a/b?c") == "https://host.example:81/robots.txt"


def test_rules_are_kept_to():
    rules = Rules.from_answer(200, TEXT)
    assert rules.allows("http://h.example/public", "mesostic-rendler")
    assert not rules.allows("http://h.example/private/x", "mesostic-rendler")
    assert not rules.allows("http://h.example/public", "guest")
    assert rules.crawl_delay("mesostic-rendler") == 2


def test_a_delay_without_measure_is_cut():
    assert Rules.from_answer(200, TEXT).crawl_delay("guest") == MAX_CRAWL_DELAY


def test_no_file_means_no_rules():
    rules = Rules.from_answer(404, b"User-agent: *\nDisallow: /")
    assert rules.reachable
    assert rules.allows("http://h.example/x", "any")
    assert rules.crawl_delay("any") is None


def test_a_broken_server_means_that_nothing_may_be_fetched_now():
    assert not Rules.from_answer(503, b"").reachable


def test_any_bytes_are_rules():
    assert Rules.from_answer(200, b"\xff\x00 <html> Disallow").allows("http://h.example/x", "any")
