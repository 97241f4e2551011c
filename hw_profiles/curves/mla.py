"""MLA attention kernels: decode on the latent cache (absorbed), prefill absorbed or decompressed.

Names: heads per device, queries new tokens per sequence, batch sequences, kv cached tokens per sequence.
"""

from dataclasses import dataclass

import numpy as np

from hw_profiles.curves.base import (
    Amount,
    Chip,
    FloatArray,
    bytes_per_element,
    carried_rate,
    corrected,
    knots_at,
    smooth_max,
)

LATENT = 512  # values of one token's latent; with ROPE more for the key (DeepSeek-V2, section 2.1)
ROPE = 64
KV_BLOCK = 64  # cached tokens per step of one thread block
ROW_TILE = 64  # rows (heads × queries) that one thread block holds
WORK_KNOTS = knots_at(2e-6, 1e-5, 4e-5, 2e-4, 1e-3, 1e-2)
LENGTH_KNOTS = knots_at(64, 256, 1024, 4096, 16384)
PREFILL_TILE = 128


@dataclass(frozen=True, kw_only=True)
class MlaDecodeCurve:
    """Coefficients of `mla_decode_s`.

    `item_s`: fixed time of one thread block's item (a sequence × row tile); `chain_s`: time of one dependent KV block
    of a short sequence; `chain_blocks`: how many blocks stay in one chain before the kernel splits the sequence;
    `row_share`: extra memory traffic of each row tile after the first (the cache is read again, partly from L2).
    """

    precision: str
    kv_precision: str
    fitted_sm_flops_per_s: float
    floor_s: float
    item_s: float
    chain_s: float
    chain_blocks: float
    split_s: float
    wave_share: float
    memory_share: float
    compute_share: float
    row_share: float
    sharpness: float
    log_memory: tuple[float, ...] = (0.0,) * 6
    log_compute: tuple[float, ...] = (0.0,) * 6
    log_length: tuple[float, ...] = (0.0,) * 5


def mla_decode_s(
    heads: Amount, queries: Amount, batch: Amount, kv: Amount, *, chip: Chip, curve: MlaDecodeCurve
) -> FloatArray:
    """Return the seconds of absorbed decode attention over `batch` sequences of `kv` cached tokens.

    floor + waves of items + dependent chain + smooth_max(cache over memory, FLOPs over the peak). FLOPs are
    2 · heads · queries · (576 + 512) per cached token, so one verified draft makes 64 heads cost what 128 do.
    """
    tiles = np.ceil(heads * queries / ROW_TILE)
    filled = batch * tiles / chip.n_sms
    waves = np.maximum(1.0, filled + curve.wave_share * (np.ceil(filled) - filled))
    effective = corrected(kv, LENGTH_KNOTS, curve.log_length)
    blocks = kv / KV_BLOCK
    chain_s = curve.chain_s * np.minimum(blocks, curve.chain_blocks) + curve.split_s * np.log1p(
        blocks / curve.chain_blocks
    )
    kv_bytes = batch * effective * (LATENT + ROPE) * bytes_per_element(curve.kv_precision)
    floor_memory_s = kv_bytes / chip.hbm_bytes_per_s
    floor_compute_s = (
        2.0 * tiles * ROW_TILE * batch * effective * (2 * LATENT + ROPE) / chip.peak_flops_per_s[curve.precision]
    )
    memory_s = floor_memory_s * (1.0 + curve.row_share * (tiles - 1.0)) / curve.memory_share
    read_s = corrected(memory_s, WORK_KNOTS, curve.log_memory)
    peak = chip.sm_flops_per_s(curve.precision)
    compute_s = floor_compute_s * peak / carried_rate(peak, curve.compute_share, curve.fitted_sm_flops_per_s)
    multiplied_s = corrected(compute_s, WORK_KNOTS, curve.log_compute)
    busy_s = smooth_max(read_s, multiplied_s, curve.sharpness)
    fitted_s = curve.floor_s + curve.item_s * waves + smooth_max(chain_s, busy_s, curve.sharpness)
    roofline_s = np.maximum(floor_memory_s, floor_compute_s * heads * queries / (tiles * ROW_TILE)) * kv / effective
    return np.asarray(np.maximum(fitted_s, roofline_s))


@dataclass(frozen=True, kw_only=True)
class MlaPrefillCurve:
    """Coefficients of `mla_prefill_s`. `key_width` and `value_width`: 192/128 decompressed, 576/512 absorbed.

    `sequence_s`: time per sequence × head × query tile that neither FLOPs nor bytes explain (start and end of a tile).
    """

    precision: str
    key_width: float
    value_width: float
    floor_s: float
    tile_s: float
    memory_share: float
    compute_share: float
    wave_share: float
    sharpness: float
    log_compute: tuple[float, ...] = (0.0,) * 6
    log_length: tuple[float, ...] = (0.0,) * 5


def mla_prefill_s(heads: Amount, batch: Amount, length: Amount, *, chip: Chip, curve: MlaPrefillCurve) -> FloatArray:
    """Return the seconds of causal attention over `batch` prompts of `length` tokens without a cached prefix.

    FLOPs are those of the blocks on and below the diagonal: heads · batch · length · (length + 128) · (key + value).
    """
    width = curve.key_width + curve.value_width
    items = batch * heads * np.ceil(length / PREFILL_TILE) / chip.n_sms
    waves = np.maximum(1.0, items + curve.wave_share * (np.ceil(items) - items))
    effective = corrected(length, LENGTH_KNOTS, curve.log_length)
    block_flops = heads * batch * effective * (length + PREFILL_TILE) * width
    compute_s = block_flops / (chip.peak_flops_per_s["bf16"] * curve.compute_share)
    compute_s = corrected(compute_s, WORK_KNOTS, curve.log_compute)
    moved_bytes = batch * heads * length * width * 2.0
    memory_s = moved_bytes / (chip.hbm_bytes_per_s * curve.memory_share)
    fitted_s = curve.floor_s + curve.tile_s * waves + smooth_max(compute_s, memory_s, curve.sharpness)
    exact_flops = heads * batch * length * length * width
    return np.maximum(fitted_s, exact_flops / chip.peak_flops_per_s[curve.precision])
