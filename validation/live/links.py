"""Several hosts on one machine: network namespaces joined by veth links that `tc tbf` shapes. Linux, as root.

Nothing of the machine's own network is touched: the bridge that joins the hosts stands in a namespace of its own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hw_profiles.faults import Fault, InputFaults
from validation.live.interrupts import sigterm_interrupts, undisturbed

PREFIX = "longsim"
SUBNET = "10.213.0"
MOST_HOSTS = 64
LEFTOVER = re.compile(rf"{PREFIX}-(\d+-\d+)-(\d+|switch)")
RATE_WORDS = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*([kmgt]?)(bit|bps)")
THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
BYTES = {"bit": 0.125, "bps": 1.0}  # tc(8): "bps" is bytes per second
LEAST_BYTES_PER_S, MOST_BYTES_PER_S = 1e4, 2e9
# A bucket must hold what arrives until the shaper looks again (tc-tbf: rate over timer frequency). With high-resolution
# timers that is far below a tick: 1 ms holds 1gbit at 250 Hz, 0.5 ms loses a sixth of it. What fits is sent unshaped.
BURST_S = 1e-3
LEAST_BURST_BYTES = 16384  # ten full frames; larger segments are split by the shaper
QUEUE = "2s"  # longest wait in the queue: senders are held back by their windows, nothing is dropped

Command = Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Host:
    """One network namespace: its name, its interface and address."""

    namespace: str
    interface: str
    address: str

    def inside(self, command: Command) -> list[str]:
        """Return `command` as it runs in this namespace."""
        return ["ip", "netns", "exec", self.namespace, *command]


def link_rate(text: str) -> float:
    """Return the bytes/s of a rate as tc(8) writes it: "1gbit", "200mbit", and "25mbps", which is 25 megabytes per
    second; InputFaults for anything else."""
    found = RATE_WORDS.fullmatch(text.strip().lower())
    rate = float(found[1]) * THOUSANDS[found[2]] * BYTES[found[3]] if found else 0.0
    if LEAST_BYTES_PER_S <= rate <= MOST_BYTES_PER_S:
        return rate
    raise InputFaults([Fault(field="--link", got=repr(text), allowed="a rate from 80kbit to 16gbit",
                             remedy="write it as tc does, such as 1gbit or 200mbit")])  # fmt: skip


def hosts_of(n_ranks: int, owner: str) -> list[Host]:
    """Return the hosts that process `owner` makes."""
    return [
        Host(namespace=f"{PREFIX}-{owner}-{rank}", interface="eth0", address=f"{SUBNET}.{rank + 1}")
        for rank in range(n_ranks)
    ]


def building(hosts: Sequence[Host], link_bytes_per_s: float, owner: str) -> list[Command]:
    """Return the commands that make the hosts and shape both directions of their links."""
    switch = _switch(owner)
    commands: list[Command] = [
        ["ip", "netns", "add", switch], ["ip", "-n", switch, "link", "add", "br0", "type", "bridge"],
        ["ip", "-n", switch, "link", "set", "br0", "up"],
    ]  # fmt: skip
    for rank, host in enumerate(hosts):
        port, name = f"port{rank}", host.namespace
        commands += [
            ["ip", "netns", "add", name],
            ["ip", "-n", switch, "link", "add", port, "type", "veth", "peer", "name", host.interface, "netns", name],
            ["ip", "-n", switch, "link", "set", port, "master", "br0", "up"],
            ["ip", "-n", name, "addr", "add", f"{host.address}/24", "dev", host.interface],
            ["ip", "-n", name, "link", "set", host.interface, "up"],
            ["ip", "-n", name, "link", "set", "lo", "up"],
            _shaping(name, host.interface, link_bytes_per_s),
            _shaping(switch, port, link_bytes_per_s),
        ]
    return commands


def _shaping(namespace: str, interface: str, link_bytes_per_s: float) -> Command:
    burst = max(LEAST_BURST_BYTES, round(link_bytes_per_s * BURST_S))
    shaper = ["tbf", "rate", f"{round(link_bytes_per_s * 8)}bit", "burst", str(burst), "latency", QUEUE]
    return ["tc", "-n", namespace, "qdisc", "add", "dev", interface, "root", *shaper]


def _switch(owner: str) -> str:
    return f"{PREFIX}-{owner}-switch"


@contextmanager
def network(n_ranks: int, link_bytes_per_s: float) -> Iterator[list[Host]]:
    """Make `n_ranks` hosts, each with one link of `link_bytes_per_s` in each direction, for as long as the block runs.

    They vanish with everything that runs in them when the block ends, on an error, Ctrl-C or SIGTERM too; what a killed
    run has left is removed first. Raises InputFaults where this machine cannot, and leaves nothing behind.
    """
    _check(n_ranks)
    remove_leftovers()
    owner = _owner(os.getpid())
    hosts = hosts_of(n_ranks, owner)
    with sigterm_interrupts():
        try:
            for command in building(hosts, link_bytes_per_s, owner):
                _run(command)
            yield hosts
        finally:
            with undisturbed():
                for name in [*(host.namespace for host in hosts), _switch(owner)]:
                    _remove(name)


def remove_leftovers() -> list[str]:
    """Remove the namespaces of processes that are gone, and return their names."""
    removed = []
    for name in _namespaces():
        found = LEFTOVER.fullmatch(name)
        if found and not _is_alive(found[1]):
            _remove(name)
            removed.append(name)
    return removed


def _check(n_ranks: int) -> None:
    if sys.platform != "linux":
        raise _refusal(f"on {sys.platform}")
    if os.geteuid() != 0:
        raise _refusal("without root")
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        raise _refusal(f"without {' and '.join(missing)}")
    if n_ranks > MOST_HOSTS:
        raise _refusal(f"for {n_ranks} ranks")


def _refusal(reason: str) -> InputFaults:
    return InputFaults([Fault(field="--link", got=f"shaped links {reason}",
                              allowed=f"root on Linux with iproute2, at most {MOST_HOSTS} ranks",
                              remedy="leave --link out: ranks then talk over the loopback device")])  # fmt: skip


def _run(command: Command) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:  # a container without the right, a kernel without bridges, veth or tbf
        raise _refusal(f"on a kernel that refuses {' '.join(command[:8])} ({done.stderr.strip()})")


def _namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True)
    return [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]


def _remove(namespace: str) -> None:
    """End what runs in a namespace, then delete it; one that is not there is no matter."""
    pids = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True, text=True)
    for pid in pids.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _owner(pid: int) -> str:
    """A process by its number and start, since numbers come back: field 22 of its stat file (proc(5)); "" if gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    after_name = stat.rpartition(")")[2].split()  # from field 3 on; the name may hold spaces
    return f"{pid}-{after_name[19]}"


def _is_alive(owner: str) -> bool:
    return _owner(int(owner.partition("-")[0])) == owner
