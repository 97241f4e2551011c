"""AdamW with LongCat's epsilon, and initialisation and learning rates that carry over from a narrow proxy model."""

import torch
from torch import Tensor, nn

LONGCAT_EPSILON = 1e-16
"""LongCat-Flash report, section 3.1: harm appears once epsilon comes near the RMS of the gradient."""
_INPUT_EMBEDDING = "embed.weight"


@torch.no_grad()
def initialise_transferred(
    model: nn.Module, std: float, width_factor: float, generator: torch.Generator | None = None
) -> None:
    """Draw every matrix of `model`, a `LanguageModel`, as transferred from a proxy `width_factor` = s times narrower.

    `std` is the proxy's. Input embedding: its variance unchanged; hidden matrices and unembedding: variance / s
    (LongCat-Flash report, section 3.1: s = 8 from width 768). Norms and biases keep their ones and zeros.
    """
    _check(model, width_factor)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            scale = 1.0 if name == _INPUT_EMBEDDING else width_factor**-0.5
            weight.normal_(0.0, std * scale, generator=generator)


def adamw(
    model: nn.Module,
    learning_rate: float,
    *,
    width_factor: float = 1.0,
    weight_decay: float = 0.1,
    epsilon: float = LONGCAT_EPSILON,
    betas: tuple[float, float] = (0.9, 0.95),
) -> torch.optim.AdamW:
    """Return AdamW over `model` in three groups: embedding and norms at `learning_rate` (of the proxy), all other
    matrices at `learning_rate` / s (report, section 3.1). Only matrices decay, by rate times `weight_decay`."""
    _check(model, width_factor)
    groups = [
        {"params": _embedding(model), "lr": learning_rate, "weight_decay": weight_decay},
        {"params": _hidden(model), "lr": learning_rate / width_factor, "weight_decay": weight_decay},
        {"params": [w for w in model.parameters() if w.ndim == 1], "lr": learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=epsilon)


def gradient_rms(model: nn.Module) -> float:
    """Return the root mean square of all gradients of `model`, to be held against epsilon."""
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    total = sum(float(gradient.double().square().sum()) for gradient in gradients)
    return float((total / sum(gradient.numel() for gradient in gradients)) ** 0.5)


def gradient_rms_range(model: nn.Module) -> tuple[float, float]:
    """Return the least and the most of the root mean squares of the gradients of each parameter by itself: the range
    that epsilon must stay below (LongCat-Flash report, figure 7)."""
    each = [float(w.grad.double().square().mean().sqrt()) for w in model.parameters() if w.grad is not None]
    return min(each), max(each)


def _embedding(model: nn.Module) -> list[Tensor]:
    return [weight for name, weight in model.named_parameters() if name == _INPUT_EMBEDDING]


def _hidden(model: nn.Module) -> list[Tensor]:
    return [w for name, w in model.named_parameters() if w.ndim > 1 and name != _INPUT_EMBEDDING]


def _check(model: nn.Module, width_factor: float) -> None:
    names = {name for name, _ in model.named_parameters()}
    if not width_factor > 0.0:
        raise ValueError(f"width_factor: got {width_factor:g}; allowed above 0, the width over the proxy's")
    if not {_INPUT_EMBEDDING, "head.weight"} <= names:
        raise ValueError("model: got one without embedding and LM head of its own; allowed untied embeddings, whose"
                         " two ends transfer differently")  # fmt: skip
