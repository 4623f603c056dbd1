"""TLS from the settings to the wire: authority, client certificate, host name; for the subscription and the calls."""

import asyncio

from actors import messages as m
from actors.framework_settings import FrameworkSettings
from actors.runtime import ActorSystem
from tests.actors.test_connection_over_http import QUICK, Bench
from tests.support.scripted_master import scripted_master


async def test_subscription_and_calls_go_over_tls_with_a_client_certificate(certificates):
    context = certificates.server_context(certificates.server, ask_client=True)
    async with scripted_master(context) as master, ActorSystem() as system:
        settings = FrameworkSettings(
            name="t", user="u", master=master.url, ca=certificates.ca, cert=certificates.client
        )
        bench = Bench(system, master, settings, QUICK)
        await bench.subscribe()
        bench.caller.tell(m.Revive())
        await bench.until(lambda: master.types == ["REVIVE"])


async def test_a_certificate_for_another_host_is_not_accepted_unless_told_so(certificates, caplog):
    context = certificates.server_context(certificates.elsewhere)
    async with scripted_master(context) as master:
        for verify in (True, False):
            settings = FrameworkSettings(
                name="t", user="u", master=master.url, ca=certificates.ca, verify_hostname=verify
            )
            async with ActorSystem() as system:
                bench = Bench(system, master, settings, QUICK)
                bench.connection.tell(m.Connect())
                if verify:
                    await asyncio.sleep(0.3)
                    assert master.subscribes == []
                    assert "certificate" in caplog.text
                else:
                    await bench.until(lambda: len(master.subscribes) == 1)


async def test_a_certificate_of_an_unknown_authority_is_not_accepted(certificates):
    context = certificates.server_context(certificates.server)
    async with scripted_master(context) as master, ActorSystem() as system:
        bench = Bench(system, master, FrameworkSettings(name="t", user="u", master=master.url), QUICK)
        bench.connection.tell(m.Connect())
        await asyncio.sleep(0.3)
        assert master.subscribes == []
