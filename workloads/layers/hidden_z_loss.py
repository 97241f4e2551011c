"""The hidden z-loss, which keeps massive activations down.

T tokens, D hidden.
"""

from torch import Tensor


def hidden_z_loss(hidden_TD: Tensor) -> Tensor:
    """Return mean over tokens of (log sum over i of exp |z_i|)^2; multiply by a very small lambda.

    `hidden_TD` [..., D]: the last layer's output before the final norm (LongCat-Flash report, section 3.1; the value of
    lambda is not published).
    """
    return hidden_TD.abs().logsumexp(dim=-1).square().mean()
