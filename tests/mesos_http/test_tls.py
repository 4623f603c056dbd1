import pytest

from mesos_http import (
    BadTlsSettings,
    CallPipeline,
    ConnectFailed,
    Subscription,
    Timeouts,
    TlsSettings,
    TransportError,
)
from tests.support.raw_server import STREAM_HEAD, chunk, raw_server, records_of, response


async def stream(request, writer):
    writer.write(STREAM_HEAD + chunk(b"5\nhello"))


async def accept(request, writer):
    writer.write(response(202))


async def test_a_server_that_the_authority_vouches_for_is_trusted(certificates):
    tls = TlsSettings(ca=certificates.ca)
    async with raw_server(stream, tls=certificates.server_context(certificates.server)) as server:
        subscription = await Subscription.open(server.endpoint, b"", tls=tls)
        assert await anext(records_of(subscription)) == b"hello"
        subscription.close()
    async with raw_server(accept, tls=certificates.server_context(certificates.server)) as server:
        pipeline = CallPipeline(server.endpoint, tls=tls)
        assert (await pipeline.send(b"x")).status == 202
        pipeline.close()


async def test_an_unknown_authority_is_not_trusted(certificates):
    async with raw_server(stream, tls=certificates.server_context(certificates.server)) as server:
        with pytest.raises(ConnectFailed, match="certificate of 127.0.0.1:.* is not accepted"):
            await Subscription.open(server.endpoint, b"")


async def test_a_certificate_for_another_name_is_not_trusted_unless_names_are_not_checked(certificates):
    async with raw_server(stream, tls=certificates.server_context(certificates.elsewhere)) as server:
        with pytest.raises(ConnectFailed, match="not accepted"):
            await Subscription.open(server.endpoint, b"", tls=TlsSettings(ca=certificates.ca))
        lax = TlsSettings(ca=certificates.ca, verify_hostname=False)
        (await Subscription.open(server.endpoint, b"", tls=lax)).close()
        with pytest.raises(ConnectFailed, match="not accepted"):  # the chain is verified even then
            await Subscription.open(server.endpoint, b"", tls=TlsSettings(verify_hostname=False))


async def test_a_client_certificate_is_shown_where_one_is_asked_for(certificates):
    context = certificates.server_context(certificates.server, ask_client=True)
    async with raw_server(stream, tls=context) as server:
        tls = TlsSettings(ca=certificates.ca, cert=certificates.client)
        (await Subscription.open(server.endpoint, b"", tls=tls)).close()
        with pytest.raises(TransportError):
            await Subscription.open(server.endpoint, b"", tls=TlsSettings(ca=certificates.ca))


async def test_speaking_tls_to_a_plain_server_is_a_failed_connect():
    async with raw_server(stream) as server:
        endpoint = type(server.endpoint)("https", "127.0.0.1", server.endpoint.port)
        with pytest.raises(ConnectFailed):
            await Subscription.open(endpoint, b"", timeouts=Timeouts(connect=0.3))


def test_files_that_cannot_be_used_are_named(certificates, tmp_path):
    with pytest.raises(BadTlsSettings, match="/none.pem"):
        TlsSettings(ca="/none.pem").context()
    with pytest.raises(BadTlsSettings, match="/none.pem"):
        TlsSettings(ca=certificates.ca, cert="/none.pem").context()
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(BadTlsSettings, match="empty.pem"):
        TlsSettings(ca=str(empty)).context()
