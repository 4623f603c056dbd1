"""What an answer of Mesos means, by one table, checked against every recorded refusal."""

import pytest

from mesos_v1.errors import MEANINGS, ApiError, classify


def test_every_recorded_refusal_is_known_to_the_table(recorded):
    refusals = [
        line
        for line in recorded()
        if line["kind"] == "response" and line["status"] >= 300 and line["conn"] != "http"
    ]
    assert len(refusals) > 30
    for line in refusals:
        assert line["status"] in MEANINGS, line
        error = ApiError(line["status"], line["body"])
        assert not (error.retryable and line["status"] < 500)
        assert error.unauthorized == (line["status"] == 401)


@pytest.mark.parametrize(
    ("status", "body", "flags"),
    [
        (307, "", {"retryable", "not_leader"}),
        (400, "Failed to parse body into Call protobuf", set()),
        (400, "Failed to validate scheduler::Call: Expecting 'type' to be present", set()),
        (
            400,
            "The stream ID 'nope' included in this request didn't match the stream ID currently associated with framework ID x",
            {"subscription_lost"},
        ),
        (400, "Framework cannot be found", {"subscription_lost"}),
        (403, "Framework is not subscribed", {"subscription_lost"}),
        (400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header", set()),
        (400, "Subscribe calls should not include the 'Mesos-Stream-Id' header", set()),
        (401, "401 Unauthorized.", {"unauthorized"}),
        (403, "Not authorized to use the principal", {"unauthorized"}),
        (404, "404 Not Found.", set()),
        (429, "", {"retryable"}),
        (500, "", {"retryable"}),
        (503, "Master has not finished recovery", {"retryable"}),
        (418, "", set()),
        (599, "", {"retryable"}),
        (302, "", set()),
        (100, "", set()),
    ],
)
def test_a_status_means_this(status, body, flags):
    error = ApiError(status, body)
    names = ("retryable", "subscription_lost", "unauthorized", "not_leader")
    assert {name for name in names if getattr(error, name)} == flags
    assert error.meaning == classify(status, body)
    assert error.meaning.text


def test_the_text_names_the_status_its_meaning_and_a_bounded_part_of_the_body():
    text = str(ApiError(503, "x" * 10_000))
    assert text.startswith("HTTP 503, not ready")
    assert len(text) < 400
    assert str(ApiError(404)) == "HTTP 404, no such endpoint"


def test_a_redirect_keeps_its_location():
    assert ApiError(307, location="//10.0.0.2:5050").location == "//10.0.0.2:5050"
