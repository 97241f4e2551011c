"""The sizes that each suite sweeps, on CPU and on CUDA."""

from collections.abc import Mapping
from dataclasses import replace

from validation.measure.case import Sizes

QUICK = Sizes(
    tokens=(2, 8, 24, 64, 128, 256), batches=(2, 8, 32), contexts=(128, 512, 1536), prompts=(64, 128, 256),
    tokens_per_expert=(1, 4, 12, 32, 96),
    copy_bytes=(1 << 16, 1 << 20, 1 << 25), message_bytes=(1 << 10, 1 << 16, 1 << 22),
)  # fmt: skip
FULL_CPU = Sizes(
    tokens=(1, 4, 16, 64, 128, 256, 512), batches=(1, 4, 16, 32), contexts=(128, 512, 2048), prompts=(64, 256, 512),
    tokens_per_expert=(1, 4, 16, 32), copy_bytes=tuple(1 << n for n in range(12, 28, 3)),
    message_bytes=tuple(1 << n for n in range(10, 25, 2)),
)  # fmt: skip
FULL_CUDA = Sizes(
    tokens=(1, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192), batches=(1, 8, 32, 64, 128, 256),
    contexts=(512, 2048, 5000, 16384), prompts=(512, 2048, 4096, 8192), tokens_per_expert=(1, 4, 16, 64, 256, 1024),
    copy_bytes=tuple(1 << n for n in range(12, 31, 2)), message_bytes=tuple(1 << n for n in range(12, 29, 2)),
)  # fmt: skip
LAYERS_CPU = replace(QUICK, batches=(2, 8, 24, 48), contexts=(192, 768), prompts=(96, 384))  # not the kernels' points
LAYERS_CUDA = replace(FULL_CUDA, batches=(4, 24, 48, 96, 192), contexts=(1024, 6000), prompts=(768, 3072))

INTERFERENCE_CPU = replace(QUICK, tokens=(16, 256), copy_bytes=(1 << 20, 1 << 26), message_bytes=(1 << 16, 1 << 22))
INTERFERENCE_CUDA = replace(
    FULL_CUDA, tokens=(64, 4096), copy_bytes=(1 << 26, 1 << 28), message_bytes=(1 << 22, 1 << 26)
)  # fmt: skip
EMULATION_CPU = replace(QUICK, batches=(16, 64), contexts=(192,), prompts=(96,))
EMULATION_CUDA = replace(FULL_CUDA, batches=(32, 128), contexts=(4096,), prompts=(2048,))
LIVE = replace(
    QUICK, tokens=(1, 4, 16, 48, 96, 192), batches=(1, 16, 48), contexts=(64, 256, 1024), prompts=(32, 96, 192),
    tokens_per_expert=(1, 3, 8, 20, 48), copy_bytes=(1 << 16, 1 << 20, 1 << 24),
    message_bytes=(1 << 10, 1 << 15, 1 << 17, 1 << 19, 3 << 19, 3 << 20),
)  # fmt: skip
LIVE_LAYERS = replace(LIVE, batches=(4, 12, 32), contexts=(128, 640), prompts=(64,))  # not the kernels' points
LIVE_INTERFERENCE = replace(LIVE, tokens=(64,), message_bytes=(1 << 19, 1 << 20))

SIZES: Mapping[str, Mapping[str, Sizes]] = {
    "quick": {"cpu": QUICK, "cuda": QUICK},
    "layers": {"cpu": LAYERS_CPU, "cuda": LAYERS_CUDA},
    "overlap": {"cpu": LAYERS_CPU, "cuda": LAYERS_CUDA},
    "interference": {"cpu": INTERFERENCE_CPU, "cuda": INTERFERENCE_CUDA},
    "emulation": {"cpu": EMULATION_CPU, "cuda": EMULATION_CUDA},
    "live": {"cpu": LIVE, "cuda": LIVE},
    "live_layers": {"cpu": LIVE_LAYERS, "cuda": LIVE_LAYERS},
}
FULL: Mapping[str, Sizes] = {"cpu": FULL_CPU, "cuda": FULL_CUDA}


def sizes_of(suite: str, device_type: str) -> Sizes:
    """Return the sizes that `suite` sweeps on a device of `device_type`."""
    return SIZES.get(suite, FULL)[device_type]
