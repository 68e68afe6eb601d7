"""Environments on another machine: a server of them, and the client that is an environment itself."""
