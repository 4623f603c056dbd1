"""The smallest frameworks: `hello` says hello on the cluster, `empty` measures how many tasks a second it starts."""
