"""The ScMoE layer: shortcut positions, overlapped orders, MTP head."""

import threading
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")

from unit.layers.tiny import tiny_spec

from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.cache import LatentCache
from workloads.layers.exchange import Arrived, LocalExchange
from workloads.layers.lane import Lane
from workloads.layers.language_model import LanguageModel
from workloads.layers.mtp import MtpHead
from workloads.layers.overlap import in_turn, single_batch_overlap, two_streams
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

torch.set_num_threads(1)
SPEC = tiny_spec()
CPU = torch.device("cpu")
PATIENCE_S = 20.0
MLA_1_CORE, FFN_1 = "attention_1.o", "ffn_1"


def block_of(shortcut=2, exchange=None):
    block = ScMoEBlock(SPEC, LayerSettings(shortcut=shortcut), exchange=exchange).double()
    initialise(block, 0.3, torch.Generator().manual_seed(0))
    return block


def example(n_positions=5):
    x_BSD = torch.randn(2, n_positions, SPEC.hidden, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x_BSD, Context(rotation=Rotation.at(0, n_positions, 8, 1e7, x_BSD))


@torch.no_grad()
@pytest.mark.parametrize("shortcut", [1, 2, 3, None])
def test_the_moe_reads_the_state_that_its_position_names(shortcut):
    block, (x_BSD, at) = block_of(shortcut), example()
    h1 = x_BSD + block.attention_0(block.attention_norm_0(x_BSD), at.rotation)
    h2 = h1 + block.ffn_0(block.ffn_norm_0(h1))
    h3 = h2 + block.attention_1(block.attention_norm_1(h2), at.rotation)
    norm, state = {
        3: (block.attention_norm_0, x_BSD), 2: (block.ffn_norm_0, h1), 1: (block.attention_norm_1, h2),
        None: (block.ffn_norm_1, h3),
    }[shortcut]  # fmt: skip
    out = h3 + block.ffn_1(block.ffn_norm_1(h3)) + block.moe(norm(state))
    torch.testing.assert_close(block(x_BSD, at), out, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ["single_batch_overlap", "two_streams"])
def test_overlapped_orders_give_the_numbers_and_gradients_of_the_layer_in_turn(order):
    results = []
    with Lane(CPU) as lane:
        overlapped = {"single_batch_overlap": single_batch_overlap, "two_streams": two_streams(lane)}[order]
        for run_block in (in_turn, overlapped):
            block, (x_BSD, at) = block_of(), example()
            out_BSD = run_block(block, x_BSD.requires_grad_(), at)
            out_BSD.square().sum().backward()
            results.append([out_BSD, x_BSD.grad, *(p.grad for p in block.parameters())])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


class Logged(LocalExchange):
    """A local exchange that writes down when it sends and when it is waited for."""

    def __init__(self, log):
        self.log, self.names = log, iter(("dispatch", "combine"))

    def send(self, rows_MD, sent_R, received_R):
        name, log = next(self.names), self.log
        log.append(f"{name} send")

        class Flight(Arrived):
            def wait(self):
                log.append(f"{name} wait")
                return self.rows_MD

        return Flight(rows_MD)


def test_single_batch_overlap_runs_the_four_stages_of_the_report():
    log = []
    block, (x_BSD, at) = block_of(exchange=Logged(log)), example()
    for name in ("attention_0.o", "moe.router", "ffn_0", "attention_1.kv_a", "moe.experts", MLA_1_CORE, FFN_1):
        block.get_submodule(name).register_forward_hook(lambda *_, name=name: log.append(name))
    single_batch_overlap(block, x_BSD, at)
    assert log == [
        "attention_0.o",
        "moe.router", "dispatch send", "ffn_0", "attention_1.kv_a",
        "dispatch wait", "moe.experts",
        "combine send", MLA_1_CORE, FFN_1, "combine wait",
    ]  # fmt: skip


def test_two_streams_run_experts_and_the_second_attention_at_the_same_time():
    """The experts wait until FFN_1 has begun, FFN_1 until the experts have: only concurrent lanes get through."""
    begun = {"moe.experts": threading.Event(), FFN_1: threading.Event()}
    met, threads = [], set()
    block, (x_BSD, at) = block_of(), example()

    def meet(mine, other):
        begun[mine].set()
        threads.add(threading.get_ident())
        met.append(begun[other].wait(PATIENCE_S))

    block.moe.experts.register_forward_pre_hook(lambda *_: meet("moe.experts", FFN_1))
    block.ffn_1.register_forward_pre_hook(lambda *_: meet(FFN_1, "moe.experts"))
    with Lane(CPU) as lane:
        two_streams(lane)(block, x_BSD, at)
    assert met == [True, True]
    assert len(threads) == 2


def test_a_fault_in_the_lane_reaches_the_caller():
    block, (x_BSD, at) = block_of(), example()
    block.moe.experts.register_forward_pre_hook(lambda *_: 1 / 0)
    with Lane(CPU) as lane, pytest.raises(ZeroDivisionError):
        two_streams(lane)(block, x_BSD, at)


@pytest.mark.parametrize("shortcut", [1, 3, None])
def test_overlap_of_another_shortcut_position_is_refused(shortcut):
    block, (x_BSD, at) = block_of(shortcut), example()
    with pytest.raises(ValueError, match=f"shortcut: got {shortcut}; the overlapped orders are those of position 2"):
        single_batch_overlap(block, x_BSD, at)


@torch.no_grad()
@pytest.mark.parametrize("order", [in_turn, single_batch_overlap], ids=lambda f: f.__name__)
def test_a_model_decodes_in_any_order(order):
    model = LanguageModel(SPEC, LayerSettings()).double()
    initialise(model, 0.3, torch.Generator().manual_seed(0))
    ids_BS = torch.randint(SPEC.vocab, (2, 6), generator=torch.Generator().manual_seed(1))
    cache = LatentCache.of(SPEC, 2, 6, model.embed.weight)
    logits = torch.cat([model(ids_BS[:, :4], cache, order), model(ids_BS[:, 4:], cache, order)], dim=1)
    torch.testing.assert_close(logits, model(ids_BS), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_the_mtp_head_is_one_dense_layer_on_embedding_and_state():
    head = MtpHead(SPEC, LayerSettings()).double()
    initialise(head, 0.3, torch.Generator().manual_seed(0))
    (hidden_BSD, at), embedding_BSD = example(), example()[0].flip(0)
    x = torch.cat([head.embedding_norm(embedding_BSD), head.hidden_norm(hidden_BSD)], -1) @ head.join.weight.T
    h = x + head.attention(head.attention_norm(x), at.rotation)
    out = head.norm(h + head.ffn(head.ffn_norm(h)))
    torch.testing.assert_close(head(hidden_BSD, embedding_BSD, at), out, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_the_mtp_head_has_a_place_of_its_own_in_the_cache():
    head = MtpHead(SPEC, LayerSettings()).double()
    initialise(head, 0.3, torch.Generator().manual_seed(0))
    (hidden_BSD, at) = example()
    cache = LatentCache.of(SPEC, 2, 5, hidden_BSD)
    head(hidden_BSD, hidden_BSD, replace(at, cache=cache))
    assert [cache.length(i) for i in range(SPEC.n_attentions + 1)] == [0, 0, 0, 0, 5]
