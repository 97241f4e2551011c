"""The CUDA paths of the layers: grouped kernel, second stream, NCCL. Skipped where there is no GPU."""

import datetime

import pytest

torch = pytest.importorskip("torch", reason="the layers need torch")
if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

import torch.distributed as dist
from unit.layers.tiny import tiny_spec

from workloads.layers.all_to_all import AllToAllExchange
from workloads.layers.block import Context, ScMoEBlock
from workloads.layers.grouped import can_use_grouped_mm, grouped_native, grouped_padded
from workloads.layers.lane import Lane
from workloads.layers.overlap import in_turn, single_batch_overlap, two_streams
from workloads.layers.rope import Rotation
from workloads.layers.settings import LayerSettings
from workloads.layers.weights import initialise

CUDA = torch.device("cuda")


@pytest.mark.parametrize("load", [[16, 0, 40, 8], [1, 2, 3, 4], [64, 64, 64, 64]], ids=str)
def test_the_grouped_kernel_gives_the_numbers_of_padded_products(load):
    generator = torch.Generator(CUDA).manual_seed(0)
    shapes = ((sum(load), 64), (4, 64, 64), (4, 64, 32))
    scales = (1.0, 0.1, 0.1)
    operands = [
        torch.randn(s, generator=generator, device=CUDA).mul(c).bfloat16().requires_grad_()
        for s, c in zip(shapes, scales, strict=True)
    ]
    if not can_use_grouped_mm(operands[0], 32):
        pytest.skip("this torch has no grouped_mm")
    results = []
    for product in (grouped_native, grouped_padded):
        out_MD = product(operands[0], torch.tensor(load, device=CUDA), *operands[1:])
        results.append([out_MD, *torch.autograd.grad(out_MD.square().sum(), operands)])
    for native, padded in zip(*results, strict=True):
        torch.testing.assert_close(native, padded, rtol=2e-2, atol=2e-2 * float(padded.detach().abs().max()))


@pytest.fixture
def nccl(tmp_path):
    dist.init_process_group("nccl", f"file://{tmp_path}/store", datetime.timedelta(seconds=60), 1, 0, device_id=CUDA)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("nccl")
@pytest.mark.parametrize("order", ["single_batch_overlap", "two_streams"])
def test_overlapped_orders_over_nccl_give_the_numbers_of_the_layer_in_turn(order):
    spec, results = tiny_spec(hidden=64), []
    with Lane(CUDA) as lane:
        overlapped = {"single_batch_overlap": single_batch_overlap, "two_streams": two_streams(lane)}[order]
        for run_block, exchange in ((in_turn, None), (overlapped, AllToAllExchange())):
            block = ScMoEBlock(spec, LayerSettings(), exchange=exchange).to(CUDA)
            initialise(block, 0.1, torch.Generator(CUDA).manual_seed(0))
            x_BSD = torch.randn(2, 32, 64, generator=torch.Generator(CUDA).manual_seed(1), device=CUDA).requires_grad_()
            out_BSD = run_block(block, x_BSD, Context(rotation=Rotation.at(0, 32, 8, 1e7, x_BSD)))
            out_BSD.square().sum().backward()
            results.append([out_BSD, x_BSD.grad, *(weight.grad for weight in block.parameters())])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4 * float(reference.detach().abs().max()))
