"""The executor of the recordings: what a task's data says, it does, and writes down what it sends and gets.

Standard library only, and no import of ours: an agent starts it as any framework's executor.
"""

import base64
import http.client
import json
import os
import sys
import time
import uuid
from pathlib import Path

NAMES = [
    "MESOS_EXECUTOR_ID",
    "MESOS_CHECKPOINT",
    "MESOS_HTTP_COMMAND_EXECUTOR",
    "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
    "LIBPROCESS_PORT",
    "MESOS_AGENT_ENDPOINT",
    "MESOS_SANDBOX",
    "MESOS_FRAMEWORK_ID",
    "MESOS_DIRECTORY",
    "MESOS_SLAVE_ID",
    "MESOS_SLAVE_PID",
    "LIBPROCESS_IP",
    "MESOS_RECOVERY_TIMEOUT",
    "MESOS_SUBSCRIPTION_BACKOFF_MAX",
    "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
    "MESOS_DOMAIN_SOCKET",
    "MESOS_SLAVE_RECOVERY",
    "MESOS_SSL_ENABLED",
]
FRAMEWORK, EXECUTOR = os.environ["MESOS_FRAMEWORK_ID"], os.environ["MESOS_EXECUTOR_ID"]
HOST, _, PORT = os.environ["MESOS_AGENT_ENDPOINT"].rpartition(":")


def write(**record):
    with Path(os.environ["RECORD"]).open("a") as log:
        log.write(json.dumps({**record, "side": "executor", "executor": EXECUTOR}) + "\n")


def body_of(call):
    return {"framework_id": {"value": FRAMEWORK}, "executor_id": {"value": EXECUTOR}, **call}


def call(**fields):
    body = body_of(fields)
    write(kind="request", conn="executor.call", body=body)
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=10)
    connection.request("POST", "/api/v1/executor", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read().decode()
    write(
        kind="response",
        conn="executor.call",
        status=response.status,
        headers=dict(response.getheaders()),
        body=text,
    )
    connection.close()


def update(task_id, state, **fields):
    status = {"task_id": {"value": task_id}, "state": state, "source": "SOURCE_EXECUTOR"}
    status["uuid"] = base64.b64encode(uuid.uuid4().bytes).decode()
    call(type="UPDATE", update={"status": {**status, **fields}})


def bad_updates(task_id):
    call(type="UPDATE", update={"status": {"task_id": {"value": task_id}, "state": "TASK_RUNNING"}})
    update(task_id, "TASK_STAGING")
    call(type="UPDATE")
    call(type="DANCE")
    call()
    update("nosuchtask", "TASK_RUNNING")


def launch(task):
    task_id = task["task_id"]["value"]
    update(task_id, "TASK_RUNNING", message="up", data=base64.b64encode(b"rdata").decode())
    data = base64.b64decode(task.get("data", "")).decode()
    if data == "message":
        call(type="MESSAGE", message={"data": base64.b64encode(b"from executor").decode()})
    elif data == "finish":
        update(task_id, "TASK_FINISHED", labels={"labels": [{"key": "k", "value": "v"}]})
    elif data == "badupdates":
        bad_updates(task_id)
    elif data == "exit":
        time.sleep(0.1)
        os._exit(7)


def main():
    write(kind="environment", body={name: os.environ[name] for name in NAMES if name in os.environ})
    subscribe = body_of(
        {"type": "SUBSCRIBE", "subscribe": {"unacknowledged_tasks": [], "unacknowledged_updates": []}}
    )
    write(kind="request", conn="executor", body=subscribe)
    connection = http.client.HTTPConnection(HOST, int(PORT))
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    connection.request("POST", "/api/v1/executor", json.dumps(subscribe), headers)
    stream = connection.getresponse()
    write(
        kind="response", conn="executor", status=stream.status, headers=dict(stream.getheaders()), body=None
    )
    while length := stream.readline():
        event = json.loads(stream.read(int(length)))
        write(kind="event", conn="executor", event=event)
        if event["type"] == "LAUNCH":
            launch(event["launch"]["task"])
        elif event["type"] == "KILL":
            update(event["kill"]["task_id"]["value"], "TASK_KILLED")
        elif event["type"] == "SHUTDOWN":
            write(kind="note", text="shutting down")
            sys.exit(0)


main()
