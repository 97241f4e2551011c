"""A real network of namespaces, as root on Linux: its pace, what runs in it, and that nothing of it stays."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from hw_profiles.faults import InputFaults
from validation.live.links import network, remove_leftovers
from validation.live.processes import Launch, run_ranks

LINK_BYTES_PER_S = 25e6  # 200mbit: far above what the kernel's timers blur, far below what two cores can copy
N_BYTES = 10_000_000  # 0.4 s at that rate: the millisecond that the bucket lets through is a four-hundredth of it

TRANSFER = f"""
import os, socket, time
here, n_bytes = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), {N_BYTES}
if os.environ["RANK"] == "0":
    with socket.create_server(here) as server:
        sender, _ = server.accept()
        sender.recv(1)
        start_s = time.perf_counter()
        while n_bytes:
            n_bytes -= len(sender.recv(min(n_bytes, 1 << 20)))
        print(time.perf_counter() - start_s)
else:
    for _ in range(500):
        try:
            receiver = socket.create_connection(here)
            break
        except OSError:
            time.sleep(0.01)
    receiver.sendall(bytes(1 + n_bytes))
"""

ALL_TO_ALL = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
received = torch.empty(2)
dist.all_to_all_single(received, torch.tensor([10.0, 11.0]) + 100 * dist.get_rank())
print(received.tolist())
dist.destroy_process_group()
"""


def can_make_networks():
    try:
        with network(1, LINK_BYTES_PER_S):
            return True
    except InputFaults:
        return False


pytestmark = pytest.mark.skipif(not can_make_networks(), reason="needs root on Linux, iproute2, and a kernel with tbf")


def run_two(folder, program, hosts=()):
    run_ranks(
        Launch(command=[sys.executable, "-c", program], n_ranks=2, folder=folder, timeout_s=20.0, hosts=hosts)
    )  # fmt: skip
    return [(folder / f"rank{rank}.log").read_text().splitlines()[-1:] for rank in range(2)]


def namespaces(owner):
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.startswith(f"longsim-{owner}-")]


def links_of_the_machine():
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def test_a_transfer_takes_the_time_of_its_link(tmp_path):
    with network(2, LINK_BYTES_PER_S) as hosts:
        (shaped,), _ = run_two(tmp_path, TRANSFER, hosts)
    (unshaped,), _ = run_two(tmp_path, TRANSFER)
    # frames of 1,514 bytes carry 1,448: 4.6 % above the payload's time; the rest of the 15 % is for a busy machine
    assert float(shaped) == pytest.approx(N_BYTES / LINK_BYTES_PER_S, rel=0.15)
    assert float(unshaped) < float(shaped) / 2


def test_ranks_of_torch_exchange_their_rows_through_it(tmp_path):
    pytest.importorskip("torch")
    with network(2, LINK_BYTES_PER_S) as hosts:
        assert run_two(tmp_path, ALL_TO_ALL, hosts) == [["[10.0, 110.0]"], ["[11.0, 111.0]"]]


def test_an_error_takes_the_network_down_with_what_runs_in_it_and_the_machine_is_as_before():
    before = links_of_the_machine()
    with suppress(ZeroDivisionError), network(2, LINK_BYTES_PER_S) as hosts:
        assert len(namespaces(os.getpid())) == 3  # two hosts and the switch
        forgotten = subprocess.Popen(hosts[1].inside(["sleep", "60"]))
        until_inside(forgotten.pid, hosts[1])
        raise ZeroDivisionError
    assert forgotten.wait(timeout=10) == -signal.SIGKILL
    assert namespaces(os.getpid()) == []
    assert links_of_the_machine() == before


def until_inside(pid, host):
    for _ in range(500):
        inside = subprocess.run(["ip", "netns", "pids", host.namespace], capture_output=True, text=True, check=True)
        if str(pid) in inside.stdout.split():
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} did not enter {host.namespace} within 5 s")


@pytest.fixture
def other_run():
    """A process that has made a network and waits in it."""
    program = (
        "import time; from validation.live.links import network\n"
        f"with network(2, {LINK_BYTES_PER_S}): print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()
    remove_leftovers()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_take_the_network_down(other_run, number):
    other_run.send_signal(number)
    other_run.wait(timeout=10)
    assert namespaces(other_run.pid) == []


def test_what_a_killed_run_has_left_goes_at_the_next_start_and_a_living_run_keeps_its_own(other_run):
    with network(1, LINK_BYTES_PER_S):
        assert len(namespaces(other_run.pid)) == 3
    other_run.kill()
    other_run.wait(timeout=10)
    assert len(namespaces(other_run.pid)) == 3
    with network(1, LINK_BYTES_PER_S):
        assert namespaces(other_run.pid) == []


def test_a_process_number_that_came_back_does_not_keep_the_leftovers_of_its_former_owner():
    left = f"longsim-{os.getpid()}-1-0"  # this process did not start one tick after the machine did
    subprocess.run([shutil.which("ip"), "netns", "add", left], check=True)
    assert remove_leftovers() == [left]
    assert namespaces(os.getpid()) == []
