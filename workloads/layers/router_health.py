"""What to watch of a router in training: does the balance loss drown the language-model loss, do experts look alike?

T tokens, E experts of the pool, D hidden.
"""

import torch
from torch import Tensor
from torch.nn import functional


def probability_gradient(loss: Tensor, scores_TE: Tensor) -> Tensor:
    """Return dL/dP of the batch-mean expert probabilities P [E]: how `loss` changes when every token's scores move
    together, sum over t of dL/dscores_TE. Keeps the graph, so that the loss can still be trained on."""
    (gradient_TE,) = torch.autograd.grad(loss, scores_TE, retain_graph=True)
    return gradient_TE.flatten(0, -2).sum(dim=0)


def gradient_ratio(alpha: float, balance_gradient_E: Tensor, language_gradient_E: Tensor) -> float:
    """Return R_g = |alpha dL_LB/dP| / |dL_LM/dP|, L_LB without alpha (LongCat-Flash report, section 3.1)."""
    return float(alpha * balance_gradient_E.norm() / language_gradient_E.norm())


def alpha_for_ratio(target: float, balance_gradient_E: Tensor, language_gradient_E: Tensor) -> float:
    """Return the alpha at which R_g is `target`; the report recommends to stay below a small one, such as 0.1."""
    if not target > 0.0:
        raise ValueError(f"target: got {target:g}; allowed a ratio above 0, such as 0.1")
    return target / gradient_ratio(1.0, balance_gradient_E, language_gradient_E)


def router_similarity(weight_ED: Tensor) -> float:
    """Return the mean cosine similarity of all pairs of different rows of a router (report, section 3.1).

    The sum over pairs is |sum of unit rows|^2 - E, so no E x E matrix is made.
    """
    n_pool = len(weight_ED)
    if n_pool < 2:
        raise ValueError(f"weight_ED: got {n_pool} rows; allowed two or more")
    total_D = functional.normalize(weight_ED, dim=1).sum(dim=0)
    return float((total_D.square().sum() - n_pool) / (n_pool * (n_pool - 1)))
