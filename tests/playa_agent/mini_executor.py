"""A small V1 executor of the standard library only, for the tests; a task's data says what it is to do."""

import base64
import http.client
import json
import os
import sys
import time
import uuid

HOST = os.environ["MESOS_AGENT_ENDPOINT"]
IDS = {
    "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
    "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
TOKEN = os.environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
if TOKEN:
    HEADERS["Authorization"] = f"Bearer {TOKEN}"
unacknowledged: dict[str, object] = {}
tasks: dict[str, object] = {}


def call(body):
    connection = http.client.HTTPConnection(HOST)
    connection.request("POST", "/slave(1)/api/v1/executor", json.dumps({**IDS, **body}), HEADERS)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def update(task_id, state, **more):
    status = {
        "task_id": {"value": task_id},
        "state": state,
        "source": "SOURCE_EXECUTOR",
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        **more,
    }
    unacknowledged[status["uuid"]] = {"status": status}
    return call({"type": "UPDATE", "update": {"status": status}})


def message(text):
    call({"type": "MESSAGE", "message": {"data": base64.b64encode(text.encode()).decode()}})


def events(response):
    while True:
        line = response.readline()
        if not line:
            return
        data = b""
        while len(data) < int(line):
            piece = response.read(int(line) - len(data))
            if not piece:
                return
            data += piece
        yield json.loads(data)


def launched(task):
    task_id = task["task_id"]["value"]
    order = base64.b64decode(task.get("data", "")).decode()
    tasks[task_id] = task
    if order == "silent":
        return
    update(task_id, "TASK_RUNNING", message="up")
    if order.startswith("exit "):
        sys.exit(int(order.split()[1]))
    elif order == "finish":
        update(task_id, "TASK_FINISHED", data=base64.b64encode(b"result").decode())
    elif order == "env":
        message(json.dumps(dict(os.environ)))
    elif order == "bad":
        message(json.dumps(call({"type": "UPDATE"})))
    elif order == "unknown":
        update("nosuchtask", "TASK_RUNNING")


def handle(event):
    kind = event["type"]
    if kind == "LAUNCH":
        launched(event["launch"]["task"])
    elif kind == "LAUNCH_GROUP":
        for task in event["launch_group"]["task_group"]["tasks"]:
            launched(task)
    elif kind == "KILL":
        policy = event["kill"].get("kill_policy", {})
        update(event["kill"]["task_id"]["value"], "TASK_KILLED", message=json.dumps(policy))
    elif kind == "MESSAGE":
        message("echo " + base64.b64decode(event["message"]["data"]).decode())
    elif kind == "ACKNOWLEDGED":
        unacknowledged.pop(event["acknowledged"]["uuid"], None)
        tasks.pop(event["acknowledged"]["task_id"]["value"], None)
    elif kind == "SHUTDOWN":
        if os.environ.get("STUBBORN"):
            return
        sys.exit(0)


def subscribe():
    connection = http.client.HTTPConnection(HOST)
    body = {
        "unacknowledged_tasks": list(tasks.values()),
        "unacknowledged_updates": list(unacknowledged.values()),
    }
    connection.request(
        "POST", "/api/v1/executor", json.dumps({**IDS, "type": "SUBSCRIBE", "subscribe": body}), HEADERS
    )
    response = connection.getresponse()
    if response.status == 200:
        for event in events(response):
            handle(event)


while True:
    try:
        subscribe()
    except (OSError, http.client.HTTPException):
        pass
    if os.environ["MESOS_CHECKPOINT"] != "1":
        sys.exit(1)
    time.sleep(0.1)
