"""What is read off a batch: loads of experts and devices, FFN experts per token, activations, variances.

T tokens, E = N + Z experts of the pool, K choices per token, B sequences, S tokens of each, D devices.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from validation.studies.plan import Plan
from validation.studies.text import CLASSES, byte_classes
from workloads.layers.attention import MLA
from workloads.layers.balance_loss import group_choices, group_of_experts
from workloads.layers.budget import choice_counts
from workloads.layers.language_model import LanguageModel
from workloads.layers.moe import MoE
from workloads.layers.rope import Rotation
from workloads.layers.router import Router, Routing
from workloads.layers.router_health import router_similarity

Where = tuple[int, str, str]
"""Layer (-1: the whole model), of what ("": everything, or a token class, a domain), quantity."""
WHOLE = -1
_CLASS_OF_BYTE = torch.from_numpy(byte_classes())


@torch.no_grad()
def observe_routing(
    plan: Plan, ids_BS: Tensor, routings: Sequence[Routing], routers: Sequence[Router]
) -> dict[Where, float]:
    """Return, for every layer: FFN experts per token (mean and standard deviation, also by token class), hottest expert
    over mean, hottest device over mean per sequence, mean and spread of the biases, similarity of router rows."""
    class_T = _CLASS_OF_BYTE[ids_BS.flatten()]
    seen: dict[Where, float] = {}
    for layer, (routing, router) in enumerate(zip(routings, routers, strict=True)):
        n = router.n_routed_experts
        ffn_T = (routing.ids_TK < n).sum(dim=1).float()
        count_N = choice_counts(routing.ids_TK, len(router.bias_E))[:n].float()
        bias_N = router.bias_E[:n]
        values: dict[str, float | Tensor] = {
            "ffn_mean": ffn_T.mean(), "ffn_std": ffn_T.std(), "hottest_expert": count_N.max() / count_N.mean(),
            "hottest_device": _hottest_device(plan, ids_BS, routing.ids_TK, router), "bias_mean": bias_N.mean(),
            "bias_std": bias_N.std(), "similarity": router_similarity(router.classifier.weight),
        }  # fmt: skip
        seen |= {(layer, "", name): float(value) for name, value in values.items()}
        for number, name in enumerate(CLASSES):
            ffn_of_class_T = ffn_T[class_T == number]
            if len(ffn_of_class_T):
                seen[layer, name, "ffn_mean"] = float(ffn_of_class_T.mean())
            if len(ffn_of_class_T) > 1:
                seen[layer, name, "ffn_std"] = float(ffn_of_class_T.std())
    return seen


def _hottest_device(plan: Plan, ids_BS: Tensor, ids_TK: Tensor, router: Router) -> Tensor:
    """Choices of the busiest device over the mean of devices, mean over sequences."""
    n = router.n_routed_experts
    group_E = group_of_experts(n, len(router.bias_E) - n, plan.n_devices)
    count_BD = group_choices(ids_TK.view(*ids_BS.shape, -1), group_E, plan.n_devices + 1)[:, : plan.n_devices].float()
    return (count_BD.max(dim=1).values / count_BD.mean(dim=1)).mean()


def observe_activations(hidden_BSD: Tensor) -> Mapping[Where, float]:
    """Return the largest and the root-mean-square activation of the last layer's output."""
    largest, rms = float(hidden_BSD.detach().abs().max()), float(hidden_BSD.detach().square().mean().sqrt())
    return {(WHOLE, "", "largest_activation"): largest, (WHOLE, "", "rms_activation"): rms}


@torch.no_grad()
def observe_variances(model: LanguageModel, ids_BS: Tensor) -> Mapping[Where, float]:
    """Return the variance of attention logits (query . key, before the softmax's scale) and of MoE outputs, mean over
    the layers."""
    logits, outputs = list[float](), list[float]()

    def keep_logits(mla: MLA, inputs: tuple[Tensor, Rotation]) -> None:
        new = mla.project(inputs[0], inputs[1])
        key_BCHX, _ = mla.decompress(new.entries_BSX)
        query_BSHX = torch.cat([new.nope_BSHA, new.rope_BSHP], dim=-1)
        logits.append(float(torch.einsum("bshx,bchx->bhsc", query_BSHX, key_BCHX).var()))

    def keep_output(_moe: MoE, _inputs: object, out_BSD: Tensor) -> None:
        outputs.append(float(out_BSD.var()))

    with ExitStack() as stack:
        for part in model.modules():
            if isinstance(part, MLA):
                stack.callback(part.register_forward_pre_hook(keep_logits).remove)
            elif isinstance(part, MoE):
                stack.callback(part.register_forward_hook(keep_output).remove)
        model(ids_BS)
    means = {"logit_variance": sum(logits) / len(logits), "moe_variance": sum(outputs) / len(outputs)}
    return {(WHOLE, "", name): value for name, value in means.items()}
