"""Ways to get a first framework wrong: what is changed in one that works, and the words that name the cause."""

from dataclasses import dataclass, field

CODE = """\
from dataclasses import dataclass

from mesostic import Executor, RetryPolicy, SchedulerActor, message, receive, setting, task


@message
class Greet:
    name: str


class HelloExecutor(Executor):
    @task
    async def greet(self, greet: Greet) -> str:
        return f"Hello, {greet.name}!"


class HelloScheduler(SchedulerActor):
    def on_registered(self, event):
        self.launch(Greet("Ada"))
        self.finish_when_done()

    def on_task_finished(self, done):
        print(done.result)
"""

CONFIG = """\
[framework]
name = "hello"
master = "%MASTER%"

[scheduler]
class = "hello:HelloScheduler"

[executors.hello]
class = "hello:HelloExecutor"
"""

LAUNCH = 'self.launch(Greet("Ada"))'
BODY = '        return f"Hello, {greet.name}!"\n'
MASTER = 'master = "%MASTER%"'
EXECUTOR = 'class = "hello:HelloExecutor"\n'


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        says: what has to be said, as a regular expression.
        code: pairs of what is replaced in `CODE` and by what; a text alone replaces all of it.
        config: likewise in `CONFIG`.
        arguments: of `mesostic run`, after the file.
        ends: the exit code that the command ends with by itself; None: it goes on, and is interrupted.
        files: further files beside.
    """

    says: str
    code: tuple[tuple[str, str], ...] | str = ()
    config: tuple[tuple[str, str], ...] | str = ()
    arguments: tuple[str, ...] = ()
    ends: int | None = None
    files: dict[str, str] = field(default_factory=dict)


def hook(body: str) -> tuple[tuple[str, str], ...]:
    """Replace what `on_registered` does."""
    return ((f"        {LAUNCH}\n        self.finish_when_done()\n", body),)


def launch(arguments: str) -> tuple[tuple[str, str], ...]:
    """Replace what is launched."""
    return ((LAUNCH, f"self.launch({arguments})"),)


CONFIGURATION = {
    "the file is not there": Mistake("nothere.toml", arguments=("nothere.toml",), ends=2),
    "the file is no TOML": Mistake(
        r"hello\.toml.*line 2", config=(('name = "hello"', "name = hello"),), ends=2
    ),
    "a table is misspelt": Mistake("did you mean scheduler", config=(("[scheduler]", "[sheduler]"),), ends=2),
    "a key is misspelt": Mistake("did you mean name", config=(('name = "hello"', 'naem = "hello"'),), ends=2),
    "a value is of the wrong type": Mistake(
        "framework.name", config=(('name = "hello"', "name = 5"),), ends=2
    ),
    "no scheduler is named": Mistake(
        r"scheduler", config=(('[scheduler]\nclass = "hello:HelloScheduler"\n', ""),), ends=2
    ),
    "an executor has no class": Mistake(
        r"executors\.hello\.class.*missing", config=((EXECUTOR, ""),), ends=2
    ),
    "the class is misspelt": Mistake(
        "did you mean hello:HelloScheduler", config=(("hello:HelloScheduler", "hello:HeloScheduler"),), ends=2
    ),
    "the module is misspelt": Mistake(
        "did you mean hello", config=(("hello:HelloSch", "helo:HelloSch"),), ends=2
    ),
    "the class path has no colon": Mistake("class path", config=(("hello:HelloS", "hello.HelloS"),), ends=2),
    "the scheduler is an executor": Mistake(
        "is not a scheduler", config=(("hello:HelloScheduler", "hello:HelloExecutor"),), ends=2
    ),
    "the executor is a scheduler": Mistake(
        "is not an executor", config=(("hello:HelloExecutor", "hello:HelloScheduler"),), ends=2
    ),
    "the module is not valid Python": Mistake(
        "not valid Python", code=(("async def greet", "async deff greet"),), ends=2
    ),
    "the module raises": Mistake("ZeroDivisionError.*line", code=(("@message", "1 / 0\n@message"),), ends=2),
    "the module imports what is not installed": Mistake(
        "imports nowhere_to_be_found, which is not installed",
        code=(("@message", "import nowhere_to_be_found\n@message"),),
        ends=2,
    ),
    "the module has the name of one of Python's": Mistake(
        "rename your module",
        config=(
            ("hello:HelloScheduler", "json:HelloScheduler"),
            ("hello:HelloExecutor", "json:HelloExecutor"),
        ),
        files={"json.py": CODE},
        ends=2,
    ),
    "an executor has no task": Mistake("no @task method", code=(("    @task\n", ""),), ends=2),
    "two tasks have the same payload": Mistake(
        "both run Greet tasks",
        code=((BODY, f"{BODY}\n    @task\n    async def again(self, greet: Greet) -> str:\n{BODY}"),),
        ends=2,
    ),
    "a task's payload has no annotation": Mistake(
        "no annotation", code=(("greet: Greet)", "greet)"),), ends=2
    ),
    "a message has a field that can be changed": Mistake(
        "list", code=(("    name: str", "    name: list[str]"),), ends=2
    ),
    "a hook is a generator": Mistake(
        "on_task_finished is a generator", code=(("print(done.result)", "yield done.result"),), ends=2
    ),
    "a hook takes other arguments": Mistake(
        r"write def on_registered\(self, event\)",
        code=(("on_registered(self, event)", "on_registered(self)"),),
        ends=2,
    ),
    "a setting is missing": Mistake(
        "scheduler.limit",
        code=(
            (
                "class HelloScheduler(SchedulerActor):\n",
                "@dataclass(frozen=True)\nclass Mine:\n    limit: int\n\n\nclass HelloScheduler(SchedulerActor):\n    Settings = Mine\n",
            ),
        ),
        ends=2,
    ),
    "a setting is not known": Mistake("limit", config=(("[executors", "limit = 3\n[executors"),), ends=2),
    "a package is not there": Mistake(
        "nowhere", config=((EXECUTOR, f'{EXECUTOR}packages = ["nowhere"]\n'),), ends=2
    ),
    "a secret has no principal": Mistake("principal", config=((MASTER, f'{MASTER}\nsecret = "x"'),), ends=2),
    "--set has no value": Mistake("key=value", arguments=("hello.toml", "--set", "framework.name"), ends=2),
    "the master has no scheme": Mistake(
        "localhost:5050", config=((MASTER, 'master = "localhost:5050"'),), ends=2
    ),
    "an __init__ takes other arguments": Mistake(
        r"HelloScheduler.*__init__",
        code=(
            (
                "    def on_registered",
                "    def __init__(self):\n        super().__init__()\n\n    def on_registered",
            ),
        ),
        ends=2,
    ),
}

RUNNING = {
    "the executor's Python is not there": Mistake(
        "what to try: there is no /no/such/python on the agent",
        config=((EXECUTOR, f'{EXECUTOR}python = "/no/such/python"\n'),),
    ),
    "the executor's Python lacks packages": Mistake(
        "what to try: the Python that runs executors on the agents lacks what Mesostic needs",
        config=((EXECUTOR, f'{EXECUTOR}python = "%BARE_PYTHON%"\n'),),
    ),
    "the user is not there": Mistake(
        "no user nobodyhere", config=((MASTER, f'{MASTER}\nuser = "nobodyhere"'),)
    ),
    "a task raises": Mistake(
        "ValueError: not to my taste", code=((BODY, '        raise ValueError("not to my taste")\n'),)
    ),
    "a task imports what agents lack": Mistake(
        r'what to try: .*packages = \["nowhere_to_be_found"\]',
        code=((BODY, "        import nowhere_to_be_found\n"),),
    ),
    "a task ends its process": Mistake(
        "dying now",
        code=(
            (
                BODY,
                '        import os, sys\n        print("dying now", file=sys.stderr, flush=True)\n        os._exit(3)\n',
            ),
        ),
    ),
    "a task returns what cannot be sent": Mistake(
        "cannot be sent", code=((BODY, "        return {'a': object()}\n"),)
    ),
    "an executor's __init__ raises": Mistake(
        "HelloExecutor cannot be made.*no disk",
        code=(("    @task\n", "    def __init__(self):\n        raise OSError('no disk')\n\n    @task\n"),),
    ),
    "an executor's on_start raises": Mistake(
        "HelloExecutor could not be started.*no disk",
        code=(
            ("    @task\n", "    async def on_start(self):\n        raise OSError('no disk')\n\n    @task\n"),
        ),
    ),
    "nobody runs the payload": Mistake(
        "Wave",
        code=(
            ("class HelloExecutor", "@message\nclass Wave:\n    name: str\n\n\nclass HelloExecutor"),
            (LAUNCH, 'self.launch(Wave("Ada"))'),
        ),
    ),
    "the payload is no message": Mistake("on_registered raised", code=launch("object()")),
    "the executor to launch is not there": Mistake(
        "no executor 'helo'", code=launch('Greet("Ada"), executor="helo"')
    ),
    "there are two executors and none is named": Mistake(
        "say which executor",
        config=(
            ("[executors.hello]", '[executors.other]\nclass = "hello:HelloExecutor"\n[executors.hello]'),
        ),
    ),
    "a command and an executor at once": Mistake(
        "either a command or an executor", code=launch('command="true", executor="hello"')
    ),
    "negative CPUs": Mistake("cpus", code=launch('Greet("Ada"), cpus=-1')),
    "a GPU without the capability": Mistake("GPU_RESOURCES", code=launch('Greet("Ada"), gpus=1')),
    "more CPUs than any agent has": Mistake("cpus 100", code=launch('Greet("Ada"), cpus=100')),
    "a host that is not there": Mistake("hello-1 waits for", code=launch('Greet("Ada"), hosts=("nowhere",)')),
    "a command that is not there": Mistake(
        "the shell found no such command", code=launch('command="no-such-command --x"')
    ),
    "a command that fails": Mistake(
        "task-1 failed in attempt 1.*exited with status 3", code=launch('command="exit 3"')
    ),
    "a file that cannot be fetched": Mistake(
        "what to try: the agent could not fetch",
        config=((EXECUTOR, f'{EXECUTOR}uris = ["http://127.0.0.1:1/x.txt"]\n'),),
    ),
    "a task that takes longer than it may": Mistake(
        r"ran for longer than 0\.5 s", code=launch('command="sleep 60", timeout=0.5')
    ),
    "on_registered raises": Mistake(
        "LookupError: no map", code=hook("        raise LookupError('no map')\n")
    ),
    "an outcome hook raises": Mistake(
        "AttributeError: 'str' object has no attribute 'nme'",
        code=(("done.result", "done.result.nme"),),
        ends=0,
    ),
    "__init__ raises": Mistake(
        "the scheduler could not be created: LookupError: no map",
        code=(
            (
                "    def on_registered",
                "    def __init__(self, composition, settings):\n        raise LookupError('no map')\n\n    def on_registered",
            ),
        ),
        ends=1,
    ),
    "__init__ forgets its base": Mistake(
        r"HelloScheduler.__init__ does not call super\(\).__init__\(composition, settings\)",
        code=(
            (
                "    def on_registered",
                "    def __init__(self, composition, settings):\n        self.x = 1\n\n    def on_registered",
            ),
        ),
        ends=1,
    ),
    "on_start raises": Mistake(
        "HelloScheduler.on_start raised LookupError: no map",
        code=(
            (
                "    def on_registered",
                "    def on_start(self):\n        raise LookupError('no map')\n\n    def on_registered",
            ),
        ),
        ends=1,
    ),
    "a hook is misspelt": Mistake(
        "did you mean on_task_finished", code=(("on_task_finished", "on_task_finishd"),), ends=0
    ),
    "nobody ends the framework": Mistake(
        r"nothing to do: no task is active, and finish\(\) was not called",
        code=(("        self.finish_when_done()\n", ""),),
    ),
    "an exit code that is none": Mistake(
        "an exit code is a number from 0 to 255, not 300", code=hook("        self.finish(300)\n")
    ),
    "a hook that blocks": Mistake(
        "on_registered", code=hook("        import time\n        time.sleep(15)\n        self.finish()\n")
    ),
    "the framework's port is in use": Mistake(
        "port", config=(("[executors.hello]", "[server]\nport = %USED_PORT%\n[executors.hello]"),), ends=2
    ),
    "the trace cannot be written": Mistake(
        "/dev/null/x", arguments=("hello.toml", "--trace", "/dev/null/x"), ends=2
    ),
    "the store cannot be written": Mistake(
        "/dev/null/x",
        config=(("[executors.hello]", '[store]\npath = "/dev/null/x/s.db"\n[executors.hello]'),),
        ends=2,
    ),
    "the cluster's port is in use": Mistake(
        "port %USED_PORT%",
        config=(
            (MASTER, 'master = "embedded"'),
            ("[executors.hello]", "[cluster]\nport = %USED_PORT%\n[executors.hello]"),
        ),
        ends=3,
    ),
    "the cluster's folder cannot be made": Mistake(
        "/dev/null/x",
        config=(
            (MASTER, 'master = "embedded"'),
            ("[executors.hello]", '[cluster]\nwork_dir = "/dev/null/x"\n[executors.hello]'),
        ),
        ends=3,
    ),
}

MASTERS = {
    "nobody listens at the master's address": Mistake(
        "No master can be reached at 127.0.0.1:1 ", config=((MASTER, 'master = "http://127.0.0.1:1"'),)
    ),
    "the master is an agent": Mistake(
        "is an agent, not a master", config=((MASTER, 'master = "%AGENT%"'),), ends=3
    ),
    "the master is another web server": Mistake(
        "does not look like a Mesos master", config=((MASTER, 'master = "%WEB%"'),)
    ),
    "the master does not speak TLS": Mistake("TLS", config=((MASTER, 'master = "%HTTPS_MASTER%"'),)),
    "the master speaks TLS only": Mistake("https", config=((MASTER, 'master = "%PLAIN_TLS%"'),)),
    "the master's certificate is not trusted": Mistake("certificate", config=((MASTER, 'master = "%TLS%"'),)),
    "the master is silent": Mistake(
        "no answer|does not answer|not subscribed", config=((MASTER, 'master = "%SILENT%"'),)
    ),
    "no ZooKeeper listens": Mistake("127.0.0.1:1", config=((MASTER, 'master = "zk://127.0.0.1:1/mesos"'),)),
    "no credentials are given": Mistake("credentials", config=((MASTER, 'master = "%CLOSED%"'),), ends=1),
    "the credentials are wrong": Mistake(
        "credentials", config=((MASTER, 'master = "%CLOSED%"\nprincipal = "ada"\nsecret = "wrong"'),), ends=1
    ),
}

ALL = {**CONFIGURATION, **RUNNING, **MASTERS}
