"""Steps small enough to count by hand: the tiny model on a few ranks."""

from dataclasses import replace

from workloads.batch import Batch, RoutingSpec
from workloads.layout import Layout
from workloads.step import StepSpec
from workloads.zoo import tiny


def toy_step(*, model=None, n_gpus=4, per_node=2, ep=4, sequences=3, layout=None, routing=None, **changes):
    """A decode step; `changes` go to the batch where it has such a key, else to the step."""
    batch_keys = {key: changes.pop(key) for key in list(changes) if key in Batch.__dataclass_fields__}
    step = StepSpec(
        model=model or tiny(), n_gpus=n_gpus, devices_per_node=per_node, phase="decode",
        layout=replace(layout or Layout(), ep=ep), routing=RoutingSpec(**(routing or {})),
        batch=Batch(sequences_per_gpu=sequences, **{"context_tokens": 10, **batch_keys}),
    )  # fmt: skip
    return replace(step, **changes)
