"""A framework full of secrets, run with everything that could show them switched on."""

import os
import subprocess
import time

import psutil
import pytest

from tests.mesostic.conftest import MESOSTIC

pytestmark = pytest.mark.slow

SECRETS = {
    name: f"hush-{name}-hush"
    for name in (
        "framework",
        "setting",
        "typed",
        "environment",
        "named",
        "command",
        "payload",
        "result",
        "letter",
    )
}

CODE = """
import os, time
from dataclasses import dataclass
from mesostic import Executor, RetryPolicy, SchedulerActor, Secret, message, secret, setting, task

def word(name):
    return f"hush-{name}-hush"

@message
class Work:
    payload: str = secret()

@message
class Done:
    result: Secret

@message
class Letter:
    word: Secret

class Worker(Executor):
    @dataclass(frozen=True)
    class Settings:
        key: str = setting("", secret=True)
        typed: Secret = Secret("")

    def on_message(self, letter):
        assert letter.word.reveal() == word("letter")
        self.send(letter, reliable=True)

    @task
    def work(self, work: Work) -> Done:
        assert work.payload == word("payload")
        assert self.settings.key == word("setting")
        assert self.settings.typed.reveal() == word("typed")
        assert os.environ["ONE"] == word("environment")
        assert os.environ["PASSWORD"] == word("named")
        print("all there", flush=True)
        return Done(Secret(word("result")))

    @task
    def fail(self, letter: Letter) -> None:
        raise RuntimeError(f"what a stupid password: {letter.word.reveal()} {self.settings.key}")

class Boss(SchedulerActor):
    def on_registered(self, event):
        self.left = 5
        self.launch(Work(word("payload")))
        self.launch(Letter(Secret(word("letter"))), retry=RetryPolicy(attempts=1))
        self.launch(command="sleep 1; test $ONE = $(printf 'hush-%s' command-hush)", environment=(("ONE", word("command")),))

    def on_task_finished(self, finished):
        if isinstance(finished.result, Done):
            assert finished.result.result.reveal() == word("result")
            for reliable in (False, True):
                letter = Letter(Secret(word("letter")))
                self.send_message(finished.agent_id, finished.executor_id, letter, reliable=reliable)
        self.over()

    def on_message(self, letter, source):
        assert letter.word.reveal() == word("letter")
        self.over()

    def on_task_failed(self, failed):
        print("failed as it should" if failed.payload == Letter(Secret(word("letter"))) else failed, flush=True)
        self.over()

    def over(self):
        self.left -= 1
        if not self.left:
            self.finish()
"""

CONFIG = """
[framework]
name = "secretive"
principal = "me"
secret = { env = "FRAMEWORK_WORD" }

[cluster]
keep_work_dir = "always"
authenticate_http_frameworks = true
credentials = { me = { env = "FRAMEWORK_WORD" } }

[scheduler]
class = "secretive:Boss"

[store]
path = "secretive.db"

[executors.worker]
class = "secretive:Worker"
environment = { ONE = { file = "one" }, PASSWORD = "hush-named-hush" }

[executors.worker.settings]
key = { env = "SETTING_WORD" }
typed = "hush-typed-hush"
"""


def test_the_secrets_of_a_run_are_in_no_trace_log_error_or_process_list(tmp_path):
    (tmp_path / "secretive.py").write_text(CODE)
    (tmp_path / "secretive.toml").write_text(CONFIG)
    (tmp_path / "one").write_text(SECRETS["environment"] + "\n")
    (tmp_path / "tmp").mkdir()
    log = (tmp_path / "output").open("wb")
    process = subprocess.Popen(
        [MESOSTIC, "run", "secretive.toml", "--trace", "run.trace", "--log-level", "debug"],
        cwd=tmp_path,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        env=os.environ
        | {
            "TMPDIR": str(tmp_path / "tmp"),
            "FRAMEWORK_WORD": SECRETS["framework"],
            "SETTING_WORD": SECRETS["setting"],
        },
    )
    commands = set()
    deadline = time.monotonic() + 60
    try:
        while process.poll() is None and time.monotonic() < deadline:
            for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                try:
                    commands.add(" ".join(one.cmdline()))
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    pass
            time.sleep(0.05)
    except psutil.NoSuchProcess:
        pass
    finally:
        process.kill()
        process.wait()
        log.close()
    output = (tmp_path / "output").read_bytes()
    assert b"failed as it should" in output, output.decode()[-3000:]
    assert process.returncode == 0, output.decode()[-3000:]
    assert any("-m executor" in command for command in commands)
    traces = list(tmp_path.glob("run.trace*")) + list(tmp_path.glob("run.trace.executors/*"))
    assert any(trace.suffix == ".trace" and trace.parent != tmp_path for trace in traces)
    logs = [
        *tmp_path.rglob("*.log"),
        *(tmp_path / "tmp").rglob("stderr"),
        *(tmp_path / "tmp").rglob("stdout"),
    ]
    assert any(b"all there" in one.read_bytes() for one in logs)
    shown = {str(file.name): file.read_bytes() for file in [*traces, *logs] if file.is_file()}
    shown |= {"output": output, "commands": "\n".join(commands).encode()}
    told = [
        (where, word) for where, text in shown.items() for word in SECRETS.values() if word.encode() in text
    ]
    assert told == []
    for file in [*traces, *tmp_path.glob("secretive.db*")]:
        assert file.is_dir() or file.stat().st_mode & 0o077 == 0, file
