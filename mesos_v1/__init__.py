"""The Mesos V1 API and nothing else, without I/O: bytes and values in, bytes and values out.

Here belong: the `.proto` files and what protoc made of them (`pb`), RecordIO framing, the two content types, builders
for every call, typed reading of every event, resource arithmetic, and the meaning of HTTP statuses.

Here does not belong: asyncio, sockets, an HTTP client, a clock, an actor, or a policy of any kind. Nothing in here
imports another package of this project.
"""
