"""A whole MLA block as one measured unit: projections, norms and attention of one layer.

Names: tokens of the step over all sequences; sequences; length cached (decode) or prompt (prefill) tokens of each.
"""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import Amount, Chip, FloatArray, corrected, knots_at, smooth_max

KEY, ROPE, VALUE, LATENT, Q_RANK = 128, 64, 128, 512, 1536  # DeepSeek-V3 config: head widths and latent ranks
WORK_KNOTS = knots_at(2e-5, 1e-4, 5e-4, 2e-3, 1e-2, 5e-2)
LENGTH_KNOTS = knots_at(64, 512, 2048, 8192, 65536)


@dataclass(frozen=True, kw_only=True)
class MlaBlockCurve:
    """Coefficients of `mla_block_s`.

    `absorbed`: attention works on the latent (576 + 512 per head) instead of 192 + 128; `causal_share`: 1 for decode
    (each query sees all), 0.5 for prefill; `eager_floor_s`: host launches that short device work hides under.
    """

    absorbed: bool
    causal_share: float
    floor_s: float
    eager_floor_s: float
    sequence_s: float
    token_s: float
    weight_share: float
    project_share: float
    cache_share: float
    attend_share: float
    sharpness: float
    log_attend: tuple[float, ...] = (0.0,) * 6
    log_length: tuple[float, ...] = (0.0,) * 5
    log_project: tuple[float, ...] = (0.0,) * 6


def projection_weights(heads: Amount, hidden: Amount) -> Amount:
    """Return the weights of one MLA block: q down and up, kv down and up, output."""
    return (
        hidden * (Q_RANK + LATENT + ROPE)
        + Q_RANK * heads * (KEY + ROPE)
        + heads * (LATENT * (KEY + VALUE) + VALUE * hidden)
    )


def mla_block_s(
    heads: Amount,
    hidden: Amount,
    tokens: Amount,
    sequences: Amount,
    length: Amount,
    *,
    chip: Chip,
    curve: MlaBlockCurve,
) -> FloatArray:
    """Return the seconds of one block: floor + per token and sequence + projections + attention, all in 8 bits.

    Each part is smooth_max(memory, compute); `tokens` are new tokens, `length` what each of them can see at most.
    """
    weights = projection_weights(heads, hidden)
    weights_s = weights / chip.hbm_bytes_per_s
    project_s = 2.0 * tokens * weights / chip.peak_flops_per_s["fp8"]
    projected_s = project_s / curve.project_share
    projected_s = smooth_max(
        weights_s / curve.weight_share,
        corrected(projected_s, WORK_KNOTS, curve.log_project),
        curve.sharpness,
    )
    width = (2 * LATENT + ROPE) if curve.absorbed else (KEY + ROPE + VALUE)
    cache_s = sequences * length * (LATENT + ROPE) / chip.hbm_bytes_per_s
    attend_s = 2.0 * heads * tokens * length * curve.causal_share * width / chip.peak_flops_per_s["bf16"]
    attended_s = smooth_max(cache_s / curve.cache_share, attend_s / curve.attend_share, curve.sharpness)
    attended_s = corrected(attended_s, WORK_KNOTS, curve.log_attend)
    attended_s = attended_s * corrected(length, LENGTH_KNOTS, curve.log_length) / length
    device_s = curve.floor_s + curve.token_s * tokens + curve.sequence_s * sequences + projected_s + attended_s
    fitted_s = smooth_max(device_s, curve.eager_floor_s, 6.0) if curve.eager_floor_s else device_s
    return np.maximum(fitted_s, np.maximum(weights_s, project_s) + 0.5 * attend_s)
