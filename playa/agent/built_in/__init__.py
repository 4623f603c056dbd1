"""Parts of the executors that Mesos brings (`built_in_executor`): checks, runs of commands."""
