"""What a box is asked to be: image, limits, network, services, environment, user and first files, as one frozen record.

Limits are upper bounds, not reservations. What a backend cannot hold on this machine it names in `capabilities()`; with
`strict=True` such a spec is refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from agentrl.sandboxes.errors import SpecError

__all__ = ["SandboxSpec"]

NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:\d{1,5})?")
TARGET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:.]+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A box needs this much for the worker, its spawner and one interpreter (measured: 25 MB resident).
LEAST_MEMORY_MB = 64
LEAST_PIDS = 8
# The worker shares the box's quota: with less it would miss its own heartbeat, and the box would be taken for dead.
LEAST_CPUS = 0.1
PROXY_PORT = 3128
"""Port of 127.0.0.1 in the box where the proxy of `network` listens."""
FIRST_PORT, LAST_PORT = 1024, 65_535
MOST_SERVICES = 8
MOST_MB = 2**30
MOST = 2**40 - 1


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """Say what a box is made of and what it may use.

    Raises:
        SpecError: A value that cannot work; names the field, the value and what to write.

    >>> SandboxSpec(memory_mb=256, network=["docs.example.org"]).network
    ('docs.example.org',)
    """

    image: str | None = None
    """Docker: name, tag or digest of the image; None is the base image of `agentrl sandbox build`. Bubblewrap: None."""
    cpus: float = 1.0
    """Processor cores, as a share of time over all cores; at least 0.1, for the worker needs some of it."""
    memory_mb: int = 512
    """MiB of memory, swap included, of all that runs in the box and of all its files."""
    pids: int = 128
    """Processes and threads at one moment, the worker's own few included. A job that meets this limit is stopped."""
    disk_mb: int = 128
    """MiB of files below /work, and as many again below /tmp. They live in memory and count towards `memory_mb`."""
    inodes: int = 20_000
    """Files and folders below /work, and as many again below /tmp."""
    output_bytes: int = 1_048_576
    """Bytes of standard output and standard error together that one job may write; past it the job is stopped."""
    wall_s: float = 60.0
    """Seconds that one job may last when the call names no `timeout_s`."""
    cpu_s: float | None = None
    """Seconds of processor time that one job may use; None: as `wall_s` allows. Counted are its
    living processes, and those that were waited for."""
    open_files: int = 1024
    """File descriptors that one process may hold."""
    network: Sequence[str] = ()
    """Names that may be reached over HTTP and HTTPS, such as "docs.example.org" or "*.example.org"; none by default."""
    services: Mapping[int, int | tuple[str, int]] = field(default_factory=dict)
    """What jobs reach at http://127.0.0.1:PORT/ in the box, by any protocol over TCP: PORT, from 1024, to a port of the
    host's 127.0.0.1, or to (host, port). That address only; none by default. At most 8, and 128 connections at once."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that every job sees, beside PATH, HOME, LANG and TMPDIR. Nothing comes from the host's environment."""
    user: int = 1000
    """User id of a job in the box; background jobs and sessions use the ids after it. Never 0."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files that are in the box when it is handed over: path (relative to /work) to content."""
    strict: bool = False
    """Refuse, with `LimitNotHeld`, a backend that cannot hold every limit here."""

    def __post_init__(self) -> None:
        self._check_kinds()
        object.__setattr__(self, "network", tuple(self.network))
        object.__setattr__(self, "services", dict(self.services))
        object.__setattr__(self, "environment", dict(self.environment))
        object.__setattr__(self, "files", dict(self.files))
        self._check_numbers()
        self._check_entries()

    def __hash__(self) -> int:
        return hash(tuple(_hashable(getattr(self, each.name)) for each in fields(self)))

    def shape(self) -> SandboxSpec:
        """Return the part that is fixed when a box is made; boxes of one shape can stand in for each other."""
        return replace(
            self,
            files={},
            environment={},
            services={},
            # Which names are allowed is the lease's; whether there is a tunnel at all is the box's.
            network=("tunnel",) if self.network else (),
            output_bytes=1,
            wall_s=1.0,
            cpu_s=None,
            strict=False,
        )

    def targets(self) -> dict[int, tuple[str, int]]:
        """Return each service's port in the box and the address that it is to reach.

        >>> SandboxSpec(services={8000: 41234}).targets()
        {8000: ('127.0.0.1', 41234)}
        """
        return {port: ("127.0.0.1", to) if isinstance(to, int) else to for port, to in self.services.items()}

    def _check_kinds(self) -> None:
        if self.image is not None and (not isinstance(self.image, str) or not self.image.strip()):
            raise SpecError(
                f"image={self.image!r:.100} must be the name of an image, such as 'debian:12', or None for the base "
                "image"
            )
        if isinstance(self.network, str):
            raise SpecError(f"network={self.network!r} is one string; write network=[{self.network!r}]")
        if not isinstance(self.network, Iterable) or isinstance(self.network, bytes | Mapping):
            raise SpecError(
                f"network={self.network!r:.100} must be a list of names, such as ['docs.example.org'], or [] for none"
            )
        if not isinstance(self.services, Mapping):
            raise SpecError(
                f"services={self.services!r:.100} must be a dict from a port in the box to a port of this host, such "
                "as {8000: 41234}, or {}"
            )
        if not isinstance(self.environment, Mapping):
            raise SpecError(
                f"environment={self.environment!r:.100} must be a dict, such as {{'NAME': 'text'}}, or {{}}"
            )
        if not isinstance(self.files, Mapping):
            raise SpecError(f"files={self.files!r:.100} must be a dict, such as {{'data.txt': b'content'}}, or {{}}")
        if not isinstance(self.strict, bool):
            raise SpecError(f"strict={self.strict!r:.100} must be True or False")

    def _check_numbers(self) -> None:
        for name, least, most in (
            ("memory_mb", LEAST_MEMORY_MB, MOST_MB),
            ("pids", LEAST_PIDS, MOST),
            ("disk_mb", 1, MOST_MB),
            ("inodes", 16, MOST),
            ("output_bytes", 1, MOST),
            ("open_files", 16, MOST),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise SpecError(f"{name}={value!r} must be a whole number of at least {least} and at most {most}")
        for name, smallest in (("cpus", LEAST_CPUS), ("wall_s", 0.01), ("cpu_s", 0.01)):
            value = getattr(self, name)
            if value is None and name == "cpu_s":
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not smallest <= value <= 1e6:
                raise SpecError(f"{name}={value!r} must be a number from {smallest} to a million")
        if not isinstance(self.user, int) or isinstance(self.user, bool) or not 1 <= self.user <= 60_000:
            raise SpecError(f"user={self.user!r} must be a number from 1 to 60000; a job never runs as root")

    def _check_entries(self) -> None:
        for host in self.network:
            if not isinstance(host, str) or not NAME.fullmatch(host) or len(host) > 253:
                raise SpecError(
                    f"network: {host!r} is not a host name; write a name such as 'docs.example.org', "
                    "'*.example.org' or 'docs.example.org:8080', in lower case, without a scheme or path"
                )
        self._check_services()
        for name, text in self.environment.items():
            if not isinstance(name, str) or not VARIABLE.fullmatch(name) or not isinstance(text, str) or "\0" in text:
                raise SpecError(f"environment: {name!r}={text!r} must be a variable name and a text without NUL")
        for path, content in self.files.items():
            if not isinstance(path, str) or not path or "\0" in path:
                raise SpecError(f"files: {path!r:.200} must be a path, a text without NUL, such as 'data.txt'")
            if not isinstance(content, bytes):
                raise SpecError(f"files: the content of {path!r:.200} must be bytes, not {type(content).__name__}")

    def _check_services(self) -> None:
        if len(self.services) > MOST_SERVICES:
            raise SpecError(f"services: {len(self.services)} of them; a box has at most {MOST_SERVICES}")
        for port, to in self.services.items():
            if not _is_port(port, FIRST_PORT) or port == PROXY_PORT:
                raise SpecError(
                    f"services: {port!r:.100} must be the port in the box, a number from {FIRST_PORT} to {LAST_PORT} "
                    f"and not {PROXY_PORT}, such as services={{8000: {to!r:.50}}}"
                )
            host, target = to if isinstance(to, tuple) and len(to) == 2 else ("127.0.0.1", to)
            if not isinstance(host, str) or not TARGET.fullmatch(host) or not _is_port(target, 1):
                raise SpecError(
                    f"services: {port} leads to {to!r:.100}, which must be a port of this host's 127.0.0.1, from 1 to "
                    f"{LAST_PORT}, or an address as ('127.0.0.1', 41234)"
                )


def _is_port(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= LAST_PORT


def _hashable(value: object) -> object:
    return tuple(sorted(value.items())) if isinstance(value, dict) else value
