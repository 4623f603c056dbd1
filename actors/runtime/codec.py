"""thin, replaced below"""


def payload_of(m):
    return None


def trace_type(m):
    return type(m).__qualname__
