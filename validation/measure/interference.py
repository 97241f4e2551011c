"""Cases of a matrix product beside a transfer, seen from both sides: the product's time, and the transfer's.

Every row is timed by turns alone and beside the other, which is kept going meanwhile; `alone_s` stands in its outcome.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from torch import nn
from torch.nn import functional

from validation.measure.case import Case, Lab, cold
from validation.measure.partners import Partner, partners
from validation.measure.ranks import Ranks
from validation.measure.steady import Steady
from validation.measure.timing import Work


def interference_cases(lab: Lab, ranks: Ranks) -> Iterator[Case]:
    """Yield the products of decode and prefill beside every partner, and every partner beside them."""
    for partner in partners(lab, ranks):
        for n_tokens in lab.sizes.tokens:
            for n, k in products(lab):
                shape = {"m": n_tokens, "n": n, "k": k, "ranks": ranks.n_ranks}
                yield from _both_sides(lab, partner, shape)


def products(lab: Lab) -> list[tuple[int, int]]:
    """Return (columns, depth) of the two products of the model's FFN: dense, or of one expert where there is none."""
    width = lab.spec.dense_ffn or lab.spec.moe.expert_ffn
    return [(2 * width, lab.spec.hidden), (lab.spec.hidden, width)]


def _both_sides(lab: Lab, partner: Partner, shape: Mapping[str, int]) -> Iterator[Case]:
    m, n, k = (shape[name] for name in "mnk")
    make_gemm = partial(product_work, lab, m, n, k)
    shape = {**shape, **partner.shape, "partner_bytes": partner.n_bytes}
    yield Case(
        kernel="interference", op=f"gemm_beside.{partner.name}", shape=shape, dtype=lab.dtype, make=make_gemm,
        flops=2.0 * m * n * k, beside=lambda: Steady(partner.make_load(), lab.device, partner.agree),
    )  # fmt: skip
    yield Case(
        kernel="interference", op=f"{partner.name}_beside.gemm", shape=shape, dtype=lab.dtype, make=partner.make,
        moved_bytes=float(partner.n_bytes), beside=lambda: Steady(make_gemm(), lab.device),
    )  # fmt: skip


def product_work(lab: Lab, m: int, n: int, k: int) -> Work:
    """Return y[m, n] = x[m, k] W[n, k]^T, W read from memory as between other layers."""
    x_MK = lab.random(m, k)
    layer = lab.place(lambda: nn.Linear(k, n, bias=False))
    return cold(lambda linear: functional.linear(x_MK, linear.weight), layer, n * k * lab.element_bytes)
