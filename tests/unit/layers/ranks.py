"""One rank of an expert-parallel run, started as a program by the tests: RANK WORLD FOLDER.

Runs every case of `CASES` on its share of the tokens and saves outputs and gradients for the test to compare with one
process that holds the whole model and all tokens.
"""

import datetime
import itertools
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from unit.layers.tiny import tiny_spec

from workloads.layers.all_to_all import AllToAllExchange
from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.budget import add_over_ranks
from workloads.layers.lane import Lane
from workloads.layers.overlap import in_turn, single_batch_overlap, two_streams
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise, shard_experts

SPEC = tiny_spec(n_routed=8, n_zero=4, top_k=3)
N_POSITIONS = {"many": 6, "one": 1}
ORDERS = ("in_turn", "single_batch_overlap", "two_streams")


@dataclass(frozen=True, kw_only=True)
class Case:
    policy: str
    order: str
    batch: str = "many"
    bias: str = "mixed"

    @property
    def name(self):
        return f"{self.policy}-{self.order}-{self.batch}-{self.bias}"


CASES = [
    *(Case(policy=p, order=o) for p, o in itertools.product(("skip", "remap0", "none"), ORDERS)),
    *(Case(policy="skip", order=o, batch="one") for o in ORDERS),
    *(Case(policy="skip", order=o, bias="first_two") for o in ORDERS),  # ranks without those two receive nothing
    *(Case(policy="skip", order=o, bias="all_zero") for o in ORDERS),  # nothing is dispatched at all
]


def settings_of(case):
    return LayerSettings(zero_experts=case.policy)


def whole_block(case):
    block = ScMoEBlock(SPEC, settings_of(case))
    initialise(block, 0.2, torch.Generator().manual_seed(1))
    bias_E = torch.linspace(-0.05, 0.05, 12)
    if case.bias == "first_two":
        bias_E[[0, 1, 8]] = 10.0
    if case.bias == "all_zero":
        bias_E[8:] = 10.0
    block.moe.router.bias_E.copy_(bias_E)
    return block


def inputs(case, world):
    generator = torch.Generator().manual_seed(2)
    shape = (world, N_POSITIONS[case.batch], SPEC.hidden)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def run(case, block, x_BSD, toward_BSD):
    x_BSD = x_BSD.clone().requires_grad_()
    rotation = Rotation.at(0, x_BSD.shape[1], SPEC.attention.qk_rope_head_dim, 1e7, x_BSD)
    with Lane(torch.device("cpu")) as lane:
        run_block = {
            "in_turn": in_turn, "single_batch_overlap": single_batch_overlap, "two_streams": two_streams(lane),
        }[case.order]  # fmt: skip
        out_BSD = run_block(block, x_BSD, Context(rotation=rotation))
    (out_BSD * toward_BSD).sum().backward()
    grads = {name: weight.grad for name, weight in block.named_parameters()}
    return {"out": out_BSD.detach(), "x_grad": x_BSD.grad, "grads": grads}


def run_rank(case, rank, world):
    whole = whole_block(case)
    exchange = AllToAllExchange()
    block = ScMoEBlock(SPEC, settings_of(case), exchange=exchange)
    block.load_state_dict(shard_experts(whole.state_dict(), world, rank))
    x_BSD, toward_BSD = inputs(case, world)
    received = []
    block.moe.experts.register_forward_pre_hook(lambda _, args: received.append(len(args[0])))
    result = run(case, block, x_BSD[rank : rank + 1], toward_BSD[rank : rank + 1])
    return {**result, "rows_received": received[0]}


class Watched(AllToAllExchange):
    """Writes down, in forward and backward, when payloads are issued and collected, and whether they had arrived."""

    def __init__(self, log, delay_s):
        super().__init__()
        self.log, self.delay_s, self.names = log, delay_s, iter(("dispatch", "combine"))

    def send(self, rows_MD, sent_R, received_R):
        name = next(self.names)
        if name == "dispatch":
            time.sleep(self.delay_s)
        flight = super().send(rows_MD, sent_R, received_R)
        self.log.append(f"issue {name}")
        self.first = flight.letter if name == "dispatch" else self.first
        issue, collect = flight.letter.issue, flight.letter.collect
        flight.letter.issue = lambda *args: (self.log.append(f"issue {name}"), issue(*args))[1]
        flight.letter.collect = lambda: (self.log.append(f"collect {name}"), collect())[1]
        return flight


def watch_overlap(rank, world):
    """Return the order of events of one layer, and whether rank 0 was through FFN_0 before the rows of rank 1, which
    joins the dispatch late, had arrived."""
    log, was_under_way = [], []
    exchange = Watched(log, delay_s=0.5 if rank == 1 else 0.0)
    case = Case(policy="skip", order="single_batch_overlap")
    block = ScMoEBlock(SPEC, settings_of(case), exchange=exchange)
    initialise(block, 0.2, torch.Generator().manual_seed(rank))
    for name in ("ffn_0", "ffn_1"):
        block.get_submodule(name).register_forward_hook(lambda *_, name=name: log.append(name))
        block.get_submodule(name).register_full_backward_hook(lambda *_, name=name: log.append(f"{name} gradient"))
    block.ffn_0.register_forward_hook(lambda *_: was_under_way.append(not exchange.first._work.is_completed()))
    x_BSD, toward_BSD = inputs(case, world)
    run(case, block, x_BSD[rank : rank + 1], toward_BSD[rank : rank + 1])
    return log, was_under_way[0]


def main(rank, world, folder):
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", store, datetime.timedelta(seconds=60), world, rank)
    results = {case.name: run_rank(case, rank, world) for case in CASES}
    results["log"], results["was_under_way"] = watch_overlap(rank, world)
    results["counts"] = add_over_ranks(torch.tensor([rank, 1])).tolist()
    torch.save(results, folder / f"rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
