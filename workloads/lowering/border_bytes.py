"""What an all-to-all of experts sends over the links that groups of ranks share.

C rank classes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from workloads.borders import Scope
from workloads.lowering.view import View
from workloads.ops import FloatArray


@dataclass(frozen=True, kw_only=True)
class BorderBytes:
    """Bytes out of and into each rank's group at every border, as `Traffic` takes them."""

    out_C: Mapping[str, FloatArray]
    in_C: Mapping[str, FloatArray]


NO_BORDERS = BorderBytes(out_C={}, in_C={})


def border_bytes(
    view: View, at: int, payload: float, *, back: bool, scopes: Collection[Scope] = ("node", "fabric", "any")
) -> BorderBytes:
    """Return what crosses the borders of `scopes` in MoE layer `at`: what dispatch sends out, combine brings in."""
    names = {v: border.name for v, border in enumerate(view.step.borders) if border.scope in scopes}
    out_C, in_C = (
        {name: load_LCV[at, :, v] * payload for v, name in names.items()}
        for load_LCV in (view.loads.border_out_LRV, view.loads.border_in_LRV)
    )
    return BorderBytes(out_C=in_C, in_C=out_C) if back else BorderBytes(out_C=out_C, in_C=in_C)
