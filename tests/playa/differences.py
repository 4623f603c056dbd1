"""Where the embedded cluster deliberately differs from the recordings of a real Mesos 1.12, each with its reason.

A difference is (scenario, or "*" for all; a regular expression that a reported difference matches; the reason).
"""

DIFFERENCES: list[tuple[str, str, str]] = []
