"""Pools, links, loads and failures of every kind, small enough to break."""

import numpy as np
from hypothesis import strategies as st
from unit.serving.toy_steps import TICK_S, ToyGroups, ToyLines, requests

from simulator.failures import KINDS, FailureEvent, Failures
from simulator.serving.knobs import BackendKnobs
from simulator.serving.outages import Outages, Unit
from simulator.serving.pool import Pool
from simulator.serving.pools import replay_pools
from simulator.serving.slower_steps import FewerGpus, SlowerSteps
from simulator.serving.stepwise import decode_lines
from simulator.serving.transfers import KvLink

AT_ONCE = KvLink(bytes_per_s=float("inf"), latency_s=0.0, bytes_per_token=1.0, n_layers=4)


def pool(n_replicas=1, *, knobs=None, kv_blocks=10_000, n_groups=1, steps=None):
    return Pool(
        knobs=knobs or BackendKnobs(), step_times=decode_lines(steps or ToyLines()), kv_blocks=kv_blocks,
        n_replicas=n_replicas, n_groups=n_groups, router="round_robin",
    )  # fmt: skip


def serve(rows, **pools):
    return replay_pools(iter([requests(rows)]), **pools)


def breaks(failures, pools, seed=0):
    """What makes the outages of pools of one GPU per attention group, two GPUs in a node; weights load in 5 ticks."""

    def steps(times):
        def in_condition(nic_is_dead, share, slowdown):
            found = FewerGpus(times, share) if share < 1.0 else times
            return SlowerSteps(found, slowdown * (2.0 if nic_is_dead else 1.0))

        return in_condition

    def made(replicas):
        return Outages(failures, {
            name: Unit(replicas=those, n_gpus=pools[name].n_groups, gpus_per_node=2, gpus_per_group=1,
                       load_s=5 * TICK_S, steps=steps(pools[name].step_times))
            for name, those in replicas.items()
        }, seed=seed)  # fmt: skip

    return made


@st.composite
def loads(draw):
    rng, n = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(1, 40))
    arrival = np.cumsum(rng.integers(0, draw(st.sampled_from([1, 40, 400])), n)) * TICK_S
    prompt, output = rng.integers(1, 120, n), rng.integers(1, 60, n)
    return list(zip(arrival.tolist(), prompt.tolist(), output.tolist(), strict=True))


KNOBS = st.builds(
    BackendKnobs, max_num_seqs=st.integers(1, 12), max_batched_tokens=st.sampled_from([16, 200]),
    chunked_prefill=st.booleans(), mixed_steps=st.booleans(), block_tokens=st.sampled_from([1, 16]),
    async_scheduling=st.booleans(), preemption=st.sampled_from(["recompute", "swap"]),
    steps_per_schedule=st.sampled_from([1, 1, 3]),
)  # fmt: skip
POOLS = st.builds(
    pool, st.integers(1, 3), knobs=KNOBS, kv_blocks=st.sampled_from([192, 400, 4000]), n_groups=st.integers(1, 3),
    steps=st.just(ToyGroups()),
)  # fmt: skip
LINKS = st.builds(
    KvLink, bytes_per_s=st.sampled_from([0.1 / TICK_S, 4 / TICK_S, float("inf")]),
    latency_s=st.sampled_from([0.0, 3 * TICK_S]), bytes_per_token=st.just(1.0), n_layers=st.integers(1, 5),
    layerwise=st.booleans(),
)  # fmt: skip
EVENTS = st.builds(
    FailureEvent, at_s=st.integers(0, 4000).map(lambda ticks: ticks * TICK_S), kind=st.sampled_from(KINDS),
)  # fmt: skip
FAILURES = st.builds(
    Failures, events=st.lists(EVENTS, max_size=6), detection_s=st.sampled_from([0.0, 30 * TICK_S]),
    repair_s=st.sampled_from([0.0, 900 * TICK_S]), restart_s=st.sampled_from([0.0, 50 * TICK_S]),
    n_spare_nodes=st.integers(0, 1), then=st.sampled_from(["down", "degraded"]),
    reconfigure_s=st.sampled_from([0.0, 20 * TICK_S]), retry=st.sampled_from(["continue", "restart", "lost"]),
    nic_failover=st.booleans(), straggler_s=st.just(300 * TICK_S),
)  # fmt: skip
