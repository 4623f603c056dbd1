"""A web page in a real browser on the cluster's machine: it gets nothing from any server, and changes nothing.

The cluster is one without credentials, as `mesostic cluster` starts it: what keeps the page out is not a secret.
"""

import json
import os
from typing import Any

import aiohttp
import pytest

from examples.rendler.render_executor import ChromiumMissingError, find_chromium
from mesostic.testing import cluster, running

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.filterwarnings("default::ResourceWarning")]


def is_there():
    try:
        return bool(find_chromium())
    except ChromiumMissingError:
        return False


needs_chromium = pytest.mark.skipif(not is_there(), reason="there is no Chromium on this machine")

CODE = """
from mesostic import SchedulerActor

class Stays(SchedulerActor):
    def on_registered(self, event):
        self.launch(command="echo secret-words; exec sleep 1000")
"""

# What a page tries; each gives what it got, "nothing" if that was nothing.
TRIES = """
async ([master, agent, server, sandbox]) => {
    const got = {};
    const attempt = async (name, url, options) => {
        try {
            const answer = await fetch(url, options);
            got[name] = answer.type === "opaque" ? "nothing" : answer.ok ? await answer.text() : "nothing";
        } catch { got[name] = "nothing"; }
    };
    const script = (name, url) => new Promise(done => {
        const tag = document.createElement("script");
        got[name] = "nothing";
        window.steal = value => { got[name] = JSON.stringify(value); };
        tag.onload = tag.onerror = done;
        tag.src = url;
        document.head.append(tag);
    });
    const json = {"Content-Type": "application/json", "Accept": "application/json"};
    const post = (body, headers, mode) => ({method: "POST", headers, mode, body: JSON.stringify(body)});
    const subscribe = {type: "SUBSCRIBE", subscribe: {framework_info: {user: "root", name: "evil", roles: ["*"],
        capabilities: [{type: "MULTI_ROLE"}]}}};
    const launch = {type: "LAUNCH_CONTAINER", launch_container: {container_id: {value: "x"}, command: {value: "touch /tmp/evil"}}};
    const fault = {fault: "plan", silent: true};
    for (const base of [master, agent, server]) {
        for (const path of ["/", "/state", "/flags", "/slaves", "/playa/faults", "/health", "/artifacts/x",
                            "/files/browse?path=" + sandbox, "/files/read?offset=0&path=" + sandbox + "/stdout",
                            "/files/download?path=" + sandbox + "/stdout"]) {
            await attempt("read " + base + path, base + path);
            await attempt("read without CORS " + base + path, base + path, {mode: "no-cors"});
            await script("script " + base + path, base + path + (path.includes("?") ? "&" : "?") + "jsonp=steal");
        }
        for (const headers of [json, {"Content-Type": "text/plain"}]) {
            for (const mode of ["cors", "no-cors"]) {
                await attempt("fault " + base, base + "/playa/faults", post(fault, headers, mode));
                await attempt("subscribe " + base, base + "/api/v1/scheduler", post(subscribe, headers, mode));
                await attempt("launch " + base, base + "/api/v1", post(launch, headers, mode));
            }
        }
        const form = document.createElement("form");
        const frame = document.createElement("iframe");
        frame.name = "frame"; form.target = "frame"; form.method = "POST"; form.action = base + "/teardown";
        document.body.append(frame, form);
        form.submit();
        await new Promise(done => { frame.onload = done; setTimeout(done, 2000); });
        try { if (frame.contentDocument.body.innerText.includes("{")) got["frame " + base] = "read"; } catch {}
    }
    return got;
}
"""


@needs_chromium
@pytest.mark.parametrize(
    "from_where", ["another site", "a name that points to the master", "a name that points to the agent"]
)
async def test_a_page_reads_nothing_and_changes_nothing(tmp_path, from_where):
    from playwright.async_api import async_playwright

    (tmp_path / "stays_for_a_page.py").write_text(CODE)
    (tmp_path / "stays.toml").write_text(
        '[framework]\nname = "stays"\n[scheduler]\nclass = "stays_for_a_page:Stays"\n'
    )
    async with (
        cluster(credentials=()) as mesos,
        running(tmp_path / "stays.toml", mesos) as framework,
        aiohttp.ClientSession() as session,
        async_playwright() as playwright,
    ):
        await framework.wait_for("TaskChanged", contains="running")
        before = await look(session, mesos.url)
        agent_port = before["slaves"][0]["port"]
        sandbox = next(mesos.directory.glob("agents/1/slaves/*/frameworks/*/executors/*/runs/*-*"))
        server: str = framework.system.get("server")._actor.url  # type: ignore[union-attr]
        site = {"another site": 7, "a name that points to the master": mesos.port}.get(from_where, agent_port)
        name = "http://evil.test" if site == 7 else f"http://evil.test:{site}"
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(),
            args=[
                "--host-resolver-rules=MAP evil.test 127.0.0.1",
                # what this browser would stop by itself, others let through
                "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
            ],
        )
        try:
            page = await browser.new_page()
            refused: list[int] = []
            page.on("response", lambda r: refused.append(r.status))
            await page.route(
                f"{name}/page", lambda route: route.fulfill(body="<html><body>evil", content_type="text/html")
            )
            await page.goto(f"{name}/page")
            at = (
                (lambda port: f"http://evil.test:{port}")
                if site != 7
                else (lambda port: f"http://127.0.0.1:{port}")
            )
            servers = [at(mesos.port), at(agent_port), at(server.rpartition(":")[2])]
            got: dict[str, Any] = await page.evaluate(TRIES, [*servers, str(sandbox)])
            opened = await page.goto(f"{at(mesos.port)}/state")
            assert opened is not None
            assert opened.status == (403 if site != 7 else 200), (
                "its own address, opened by its user, is no attack"
            )
        finally:
            await browser.close()
        assert len(got) > 90
        assert {name: answer for name, answer in got.items() if answer != "nothing"} == {}
        assert refused.count(403) > 30, "the servers were reached, and said no"
        after = await look(session, mesos.url)
        assert [f["name"] for f in after["frameworks"]] == [f["name"] for f in before["frameworks"]]
        assert after["completed_frameworks"] == []
        assert not (await mesos.faults.plan()).silent


async def look(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(f"{url}/state") as answer:
        return json.loads(await answer.read())
