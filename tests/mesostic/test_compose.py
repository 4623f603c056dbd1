"""Files become compositions, or errors that say what to do. Classes are imported, nothing is started."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mesostic.commands.check import describe
from mesostic.config.compose import load_configuration
from mesostic.config.reference import reference
from mesostic.errors import ConfigError
from tests.support.fragments import check_fragment

numbers = count()

CODE = """
from dataclasses import dataclass
from mesostic import Actor, Executor, NoSettings, SchedulerActor, message, receive, setting, task
from actors.offer_actor import OfferActor

@message
class Work:
    text: str

@message
class Count:
    number: int

class Worker(Executor):
    @task
    def work(self, work: Work) -> Work:
        return work

@dataclass(frozen=True)
class SchedulerSettings:
    limit: int = setting(10, help="How many.")
    password: str = setting("", help="For somewhere.")

class Scheduler(SchedulerActor):
    Settings = SchedulerSettings
    def on_registered(self, event):
        self.tell("counter", Count(1))

class Counter(Actor):
    def __init__(self, composition, settings):
        super().__init__()
    @receive
    def on_count(self, count: Count) -> None:
        pass

class Picky(OfferActor):
    pass

class Idle(Executor):
    pass

class Loose(SchedulerActor):
    class Settings:
        pass

not_a_class = 3
"""


@dataclass(frozen=True)
class Project:
    """Called with a text, it is the configuration that the text says."""

    write: Callable[..., Any]
    folder: Path
    module: str

    def __call__(self, *arguments):
        return self.write(*arguments)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes a configuration; `MODULE` in it is a module of its own, so that tests do not see each other's."""
    name = f"project_{next(numbers)}"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(CODE)

    def write(text: str, sets: Sequence[str] = ()) -> Any:
        file = tmp_path / "c.toml"
        file.write_text(text.replace("MODULE", name))
        try:
            return load_configuration(file, sets)
        except ConfigError as error:
            error.problems = tuple(
                problem.replace(f"{tmp_path}/", "").replace(name, "MODULE") for problem in error.problems
            )
            raise

    return Project(write, tmp_path, name)


SMALL = '[scheduler]\nclass = "MODULE:Scheduler"\n'


def problems(project, text, sets=()):
    with pytest.raises(ConfigError) as caught:
        project(text, sets)
    return caught.value.problems


def test_a_whole_file_becomes_a_composition(project):
    configuration = project(
        """
        [framework]
        name = "whole"
        failover_timeout = "1h"
        [scheduler]
        class = "MODULE:Scheduler"
        limit = 3
        [actors.counter]
        class = "MODULE:Counter"
        [offers]
        class = "MODULE:Picky"
        [executors.worker]
        class = "MODULE:Worker"
        mem = "1GB"
        environment = { LANG = "C" }
        [trace]
        file = "out.trace"
        [cluster]
        agents = 2
        resources = "cpus:1;mem:100"
        """
    )
    composition = configuration.composition
    assert composition.framework.name == "whole"
    assert composition.framework.failover_timeout == 3600
    names = [spec.name for spec in composition.actors]
    assert names == [
        "scheduler",
        "connection",
        "offers",
        "reconciler",
        "messages",
        "failures",
        "store",
        "server",
        "counter",
    ]
    assert composition.spec("scheduler").settings.limit == 3
    assert composition.spec("offers").cls.__name__ == "Picky"
    worker = composition.executor("worker")
    assert (worker.mem, worker.environment) == (1024.0, (("LANG", "C"),))
    assert worker.packages == (str(project.folder / f"{project.module}.py"),)
    assert composition.trace_file == str(project.folder / "out.trace")
    assert [agent.resources for agent in configuration.cluster.agents] == ["cpus:1;mem:100"] * 2


def test_agents_may_be_listed_with_defaults_for_all(project):
    agents = project(
        SMALL + '[cluster]\nattributes = "z:a"\n[[cluster.agents]]\n[[cluster.agents]]\nattributes = "z:b"\n'
    )
    assert [agent.attributes for agent in agents.cluster.agents] == ["z:a", "z:b"]


def test_another_master_leaves_the_cluster_aside(project):
    configuration = project(SMALL + "[cluster]\nagents = 3\n", ["framework.master=http://h:5050"])
    assert configuration.cluster is None
    assert configuration.composition.framework.master == "http://h:5050"


def test_several_masters_are_a_list(project):
    assert project(
        SMALL + '[framework]\nmaster = ["http://a:1", "http://b:1"]'
    ).composition.framework.masters() == (
        "http://a:1",
        "http://b:1",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "c.toml: scheduler.class: missing; expected the class path of a scheduler"),
        ("[schduler]\n", "c.toml:1: schduler: unknown key; did you mean scheduler?"),
        ("scheduler = 3\n", "c.toml:1: scheduler: expected a table"),
        ('[scheduler]\nclass = "nowhere:X"\n', "c.toml:2: scheduler.class: nowhere:X: there is no module nowhere"),
        ('[scheduler]\nclass = "MODULE:Schedular"\n', "the module MODULE has no Schedular; did you mean MODULE:Scheduler?"),
        ('[scheduler]\nclass = "MODULE:not_a_class"\n', "MODULE:not_a_class is not a class but an int"),
        ('[scheduler]\nclass = "MODULE:Counter"\n', "MODULE:Counter is not a scheduler (a subclass of mesostic.SchedulerActor)"),
        ('[scheduler]\nclass = "MODULE.Scheduler"\n', 'expected a class path such as "scheduler:MyScheduler"'),
        ("[scheduler]\nclass = 3\n", "expected a class path"),
        ('[scheduler]\nclass = "MODULE:Loose"\n', "Loose.Settings cannot be filled"),
        (SMALL + 'limit = "x"\n', 'c.toml:3: scheduler.limit: expected a whole number, found "x" (a string)'),
        (SMALL + "[offers]\nclass = 'MODULE:Counter'\n", "MODULE:Counter is not a replacement of offers (a subclass of OfferActor)"),
        (SMALL + "[offers]\nnonsense = 1\n", "offers.nonsense: unknown key"),
        (SMALL + "[actors.counter]\n", "actors.counter.class: missing"),
        (SMALL + "[actors.'a b']\nclass = 'MODULE:Counter'\n", "an actor's name is made of letters"),
        (SMALL + "[offers]\n[actors.offers]\n", "is in the file twice: as [offers] and as [actors.offers]"),
        (SMALL + "[executors.w]\n", "executors.w.class: missing"),
        (SMALL + "[executors.w]\nclass = 'MODULE:Counter'\n", "MODULE:Counter is not an executor"),
        (SMALL + "[executors.w]\nclass = 'MODULE:Idle'\n", "MODULE:Idle: Idle has no @task method"),
        (SMALL + "[executors.w]\nclass = 'MODULE:Worker'\nmemory = 3\n", "executors.w.memory: unknown key; did you mean mem?"),
        (SMALL + "[executors.w]\nclass = 'MODULE:Worker'\npackages = ['nope']\n", '"nope" is neither a file or folder'),
        (SMALL + "[executors.w]\nclass = 'MODULE:Worker'\n[executors.w.settings]\na = 1\n", "settings.a: unknown key; no keys are expected"),
        (SMALL + "[framework]\nmaster = 'embeded'\n", 'found "embeded"; did you mean embedded?'),
        (SMALL + "[framework]\nmaster = 'host:5050'\n", 'expected "embedded", "http://host:port"'),
        (SMALL + "[framework]\nmaster = 'zk://host'\n", 'expected "zk://host:port,host:port/path"'),
        (SMALL + "[framework]\nmaster = []\n", "found an empty list"),
        (SMALL + "[framework]\ncontent_type = 'xml'\n", 'content_type must be "protobuf" or "json", not "xml"'),
        (SMALL + "[cluster]\nagents = 'two'\n", "cluster.agents: expected a number of agents"),
        (SMALL + "[cluster]\nresourcs = 'cpus:1'\n", "cluster.resourcs: unknown key; did you mean resources?"),
        (SMALL + "[[cluster.agents]]\ngc_delay = 'x'\n", "cluster.agents[0].gc_delay: expected a duration"),
        (SMALL + "[trace]\nfile = 3\n", "trace.file: expected"),
        (SMALL + "[cluster]\nkeep_work_dir = 'sometimes'\n", 'expected one of "on-failure", "always", "never"'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(project, text, says):
    assert any(says in problem for problem in problems(project, text)), problems(project, text)


def test_problems_of_all_tables_are_told_together(project):
    text = "[framework]\nnmae = 1\n[scheduler]\nclass = 'MODULE:Nope'\n[executors.w]\nmem = 'x'\n[cluster]\nagents = -1\n"
    assert len(problems(project, text)) == 5


def test_credentials_in_the_masters_url_are_refused_and_not_quoted(project):
    (problem,) = problems(project, SMALL + "[framework]\nmaster = 'http://me:hunter2@host:1'\n")
    assert "framework.secret" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import not_there_at_all\n", "imports not_there_at_all, which is not installed ({name}.py, line 1)"),
        ("x = 1 +\n", "is not valid Python: invalid syntax ({name}.py, line 1)"),
        ("\nraise RuntimeError('boom')\n", "failed: RuntimeError: boom ({name}.py, line 2)"),
        ("def f(:\n", "is not valid Python"),
        (
            "from mesostic import message\n@message\nclass M:\n    d: dict\n",
            "a dict can change, or cannot be packed; use Mapping[str, T], which is stored as a FrozenDict ({name}.py, line 2)",
        ),
        ("import json\njson.loads('')\n", "Expecting value: line 1 column 1 (char 0) ({name}.py, line 2)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_the_place_in_it(project, code, says):
    name = f"broken_{next(numbers)}"
    (project.folder / f"{name}.py").write_text(code)
    (problem,) = problems(project, f'[scheduler]\nclass = "{name}:X"\n')
    assert says.format(name=name) in problem
    sys.modules.pop(name, None)


def test_a_module_whose_name_is_taken_is_told(project):
    (project.folder / "queue.py").write_text(CODE)
    (problem,) = problems(project, '[scheduler]\nclass = "queue:Scheduler"\n')
    assert "there is a queue.py beside the configuration, but queue is also the name of" in problem


def test_a_misspelt_module_is_guessed(project):
    (project.folder / "crawler_scheduler.py").write_text("")
    (problem,) = problems(project, '[scheduler]\nclass = "crawler_schedular:X"\n')
    assert "did you mean crawler_scheduler?" in problem


def test_a_description_names_actors_settings_and_relations(project):
    configuration = project(
        SMALL
        + 'limit = 5\n[actors.counter]\nclass = "MODULE:Counter"\n[executors.w]\nclass = "MODULE:Worker"\n'
    )
    lines = list(describe(configuration))
    assert f"  scheduler: {project.module}:Scheduler" in lines
    assert "    limit = 5" in lines
    assert "  offers: actors.offer_actor:OfferActor (built in)" in lines
    assert "  scheduler -> counter: Count" in lines
    assert any(line.startswith("  offers -> connection: Accept") for line in lines)
    assert any(line.startswith("  connection -> scheduler:") and " Update," in line for line in lines)


def test_no_secret_is_ever_described(project):
    text = (
        '[framework]\nprincipal = "me"\nsecret = "hunter2"\n'
        '[scheduler]\nclass = "MODULE:Scheduler"\npassword = "hunter2"\n'
        '[executors.w]\nclass = "MODULE:Worker"\nenvironment = { API_KEY = "hunter2", LANG = "C" }\n'
        '[cluster.credentials]\nme = "hunter2"\n'
    )
    configuration = project(text)
    described = "\n".join(describe(configuration, everything=True))
    assert "hunter2" not in described
    assert described.count("***") == 4
    assert 'LANG = "C"' in described
    assert "hunter2" not in repr(configuration.cluster)


def test_the_reference_is_a_configuration_itself():
    check_fragment(reference(), "reference")


def test_the_reference_in_the_documentation_is_up_to_date():
    tool = Path(__file__).parents[2] / "tools" / "generate_reference.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_fragment_is_checked_without_what_it_leaves_out():
    check_fragment("[executors.x]\nmem = 3\n[scheduler]\nanything = 1\n")
    with pytest.raises(ConfigError, match="fraction_of_mem: unknown key"):
        check_fragment("[executors.x]\nfraction_of_mem = 3\n")


STANDBY = """
[framework]
standby = true
master = "{master}"
[scheduler]
class = "MODULE:Scheduler"
[store]
{store}
"""
SHARED = 'url = "etcd://127.0.0.1:2379/f"'


@pytest.mark.parametrize("store", ["", 'path = "f.db"'])
def test_a_process_stands_by_with_a_store_that_is_shared_only(project, store):
    with pytest.raises(
        ConfigError, match=r"a standby needs a store that several processes share: set url in \[store\]"
    ):
        project(STANDBY.format(master="http://m:5050", store=store))


def test_a_process_stands_by_for_a_master_that_all_reach_only(project):
    with pytest.raises(ConfigError, match="the embedded cluster is one process's own"):
        project(STANDBY.format(master="embedded", store=SHARED))
    assert project(STANDBY.format(master="http://m:5050", store=SHARED)).composition.framework.standby


@pytest.mark.parametrize("name", ["framework", "election"])
def test_an_actor_cannot_have_the_name_of_one_that_cannot_be_replaced(project, name):
    text = STANDBY.format(master="http://m:5050", store=SHARED)
    with pytest.raises(ConfigError, match=f"an actor cannot be called {name}"):
        project(f'{text}\n[actors.{name}]\nclass = "MODULE:Counter"\n')
