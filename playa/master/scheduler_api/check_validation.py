"""Whether health checks, checks and environments of tasks can be right, in the words of Mesos."""

from mesos_v1 import pb

_Variable = pb.mesos.Environment.Variable


def environment(info: pb.mesos.Environment) -> str | None:
    """What is wrong with the variables of a command."""
    for variable in info.variables:
        name = variable.name
        if variable.type == _Variable.SECRET:
            if not variable.HasField("secret"):
                return f"Environment variable '{name}' of type 'SECRET' must have a secret set"
            if variable.HasField("value"):
                return f"Environment variable '{name}' of type 'SECRET' must not have a value set"
        elif variable.type == _Variable.VALUE:
            if not variable.HasField("value"):
                return f"Environment variable '{name}' of type 'VALUE' must have a value set"
            if variable.HasField("secret"):
                return f"Environment variable '{name}' of type 'VALUE' must not have a secret set"
        else:
            return "Environment variable of type 'UNKNOWN' is not allowed"
    return None


def command(info: pb.mesos.CommandInfo) -> str | None:
    """What is wrong with a command."""
    return environment(info.environment)


def _command_to_run(info: pb.mesos.CommandInfo) -> str | None:
    """What a command of a check must contain besides being right."""
    if not info.HasField("value"):
        return "'shell command'" if info.shell else "'executable path'"
    return None


def health_check(check: pb.mesos.HealthCheck) -> str | None:
    """What is wrong with a health check (Mesos documentation, "Task Health Checking and Generalized Checks")."""
    if not check.HasField("type"):
        return "HealthCheck must specify 'type'"
    if check.type == pb.mesos.HealthCheck.COMMAND:
        if not check.HasField("command"):
            return "Expecting 'command' to be set for COMMAND health check"
        missing = _command_to_run(check.command)
        if missing is not None:
            return f"Command health check must contain {missing}"
        wrong = command(check.command)
        if wrong is not None:
            return f"Health check's `CommandInfo` is invalid: {wrong}"
    elif check.type == pb.mesos.HealthCheck.HTTP:
        if not check.HasField("http"):
            return "Expecting 'http' to be set for HTTP health check"
        if check.http.HasField("scheme") and check.http.scheme not in {"http", "https"}:
            return f"Unsupported HTTP health check scheme: '{check.http.scheme}'"
        if check.http.HasField("path") and not check.http.path.startswith("/"):
            return f"The path '{check.http.path}' of HTTP health check must start with '/'"
    elif check.type == pb.mesos.HealthCheck.TCP:
        if not check.HasField("tcp"):
            return "Expecting 'tcp' to be set for TCP health check"
    else:
        return "'UNKNOWN' is not a valid health check type"
    return _seconds(check, ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"))


def check(info: pb.mesos.CheckInfo) -> str | None:
    """What is wrong with a check."""
    if not info.HasField("type"):
        return "CheckInfo must specify 'type'"
    if info.type == pb.mesos.CheckInfo.COMMAND:
        if not info.HasField("command"):
            return "Expecting 'command' to be set for COMMAND check"
        missing = _command_to_run(info.command.command)
        if missing is not None:
            return f"Command check must contain {missing}"
        wrong = command(info.command.command)
        if wrong is not None:
            return f"Check's `CommandInfo` is invalid: {wrong}"
    elif info.type == pb.mesos.CheckInfo.HTTP:
        if not info.HasField("http"):
            return "Expecting 'http' to be set for HTTP check"
        if info.http.HasField("path") and not info.http.path.startswith("/"):
            return f"The path '{info.http.path}' of HTTP check must start with '/'"
    elif info.type == pb.mesos.CheckInfo.TCP:
        if not info.HasField("tcp"):
            return "Expecting 'tcp' to be set for TCP check"
    else:
        return "'UNKNOWN' is not a valid check type"
    return _seconds(info, ("delay_seconds", "interval_seconds", "timeout_seconds"))


def _seconds(info: pb.mesos.HealthCheck | pb.mesos.CheckInfo, names: tuple[str, ...]) -> str | None:
    for name in names:
        if getattr(info, name) < 0:
            return f"Expecting '{name}' to be non-negative"
    return None
