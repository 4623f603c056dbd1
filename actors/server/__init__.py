"""Parts of the framework's HTTP server (`server_actor`): the artifacts that it serves."""
