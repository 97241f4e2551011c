"""Shaped links as data: rates, the commands that make them, and machines that cannot."""

import os
import shutil
import subprocess
import sys

import pytest

from hw_profiles.faults import InputFaults
from validation.live import links


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("1gbit", 125e6), ("200mbit", 25e6), ("0.5Gbit", 62.5e6), ("800 kbit", 1e5), ("100000bit", 12500.0),
     ("25mbps", 25e6), ("1gbps", 1e9)],
)  # fmt: skip
def test_a_rate_is_read_as_tc_reads_it(text, bytes_per_s):
    assert links.link_rate(text) == pytest.approx(bytes_per_s, rel=1e-12)  # powers of ten, not of two


@pytest.mark.parametrize("text", ["", "fast", "1", "1 gb", "-1gbit", ".bit", "1gbit/s", "8kbit", "1tbit", "1e9bit"])
def test_what_is_no_rate_is_refused_in_words(text):
    with pytest.raises(InputFaults) as refused:
        links.link_rate(text)
    (fault,) = refused.value.faults
    assert (fault.field, fault.got) == ("--link", repr(text))
    assert "1gbit" in fault.remedy


def commands(n_ranks, link_bytes_per_s=125e6):
    return [" ".join(c) for c in links.building(links.hosts_of(n_ranks, "7-9"), link_bytes_per_s, "7-9")]


def test_every_host_has_a_name_and_an_address_of_its_own():
    hosts = links.hosts_of(3, "7-9")
    assert [host.namespace for host in hosts] == ["longsim-7-9-0", "longsim-7-9-1", "longsim-7-9-2"]
    assert [host.address for host in hosts] == ["10.213.0.1", "10.213.0.2", "10.213.0.3"]


def test_nothing_is_made_outside_the_namespaces_of_the_run():
    made = {f"longsim-7-9-{name}" for name in ("0", "1", "switch")}
    for command in commands(2):
        words = command.split()
        added = words[3] if words[:3] == ["ip", "netns", "add"] else words[2]
        assert added in made, command
        assert words[1] in {"netns", "-n"}, command


def test_both_directions_of_every_link_are_shaped():
    shaped = [command for command in commands(2) if command.startswith("tc")]
    ends = [(command.split()[2], command.split()[6]) for command in shaped]
    assert ends == [
        ("longsim-7-9-0", "eth0"), ("longsim-7-9-switch", "port0"),
        ("longsim-7-9-1", "eth0"), ("longsim-7-9-switch", "port1"),
    ]  # fmt: skip
    assert all("tbf rate 1000000000bit" in command for command in shaped)


@pytest.mark.parametrize(
    ("link_bytes_per_s", "burst_bytes"), [(125e6, 125_000), (1e6, 16384)], ids=["a millisecond", "ten frames"]
)
def test_the_bucket_holds_a_millisecond_and_ten_frames_at_least(link_bytes_per_s, burst_bytes):
    shaped = next(command for command in commands(1, link_bytes_per_s) if command.startswith("tc"))
    assert f" burst {burst_bytes} " in shaped


def no_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def not_linux(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")


def no_tc(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "tc" else f"/sbin/{tool}")


@pytest.mark.parametrize(
    ("lacking", "words"), [(no_root, "without root"), (not_linux, "on darwin"), (no_tc, "without tc")]
)
def test_a_machine_that_cannot_is_told_before_anything_is_made(monkeypatch, lacking, words):
    lacking(monkeypatch)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was run"))
    with pytest.raises(InputFaults, match=words) as refused, links.network(2, 125e6):
        pass
    assert "leave --link out" in refused.value.faults[0].remedy


def test_a_kernel_that_refuses_is_quoted_and_all_is_undone(monkeypatch):
    ran = []

    def kernel_without_tbf(command, **_):
        ran.append(list(command))
        refused = command[0] == "tc"
        return subprocess.CompletedProcess(command, int(refused), "", "Unknown qdisc" if refused else "")

    monkeypatch.setattr(links, "_check", lambda n_ranks: None)
    monkeypatch.setattr(subprocess, "run", kernel_without_tbf)
    with pytest.raises(InputFaults, match="Unknown qdisc"), links.network(1, 125e6):
        pass
    added = {command[3] for command in ran if command[:3] == ["ip", "netns", "add"]}
    deleted = {command[3] for command in ran if command[:3] == ["ip", "netns", "delete"]}
    assert len(added) == 2  # the host and the switch
    assert added <= deleted
