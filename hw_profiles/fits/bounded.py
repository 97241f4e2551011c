"""Bounded robust least squares on logarithms of times, over the fields of a coefficients dataclass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from hw_profiles.curves.base import FloatArray

C = TypeVar("C")
SIGNIFICANT_DIGITS = 8
DIFFERENCE = 1e-6  # relative step of the numerical derivatives


@dataclass(frozen=True, kw_only=True)
class Free:
    """A field to fit: its bounds and how stiffly it is held at its start (in units of one measured log error).

    A field whose lower bound is positive is fitted in its logarithm; a tuple field shares one pair of bounds.
    """

    low: float
    high: float
    stiffness: float = 0.0


def fit_bounded(
    predict: Callable[[Any], FloatArray],
    start: C,
    free: Mapping[str, Free],
    measured_s: FloatArray,
    *,
    soft_error: float = 0.04,
    max_steps: int = 120,
) -> C:
    """Return `start` with the `free` fields fitted so that `predict(coefficients)` follows `measured_s` [s].

    Minimises the pseudo-Huber loss of log(predicted/measured), quadratic below `soft_error` and linear above, plus
    (stiffness × shift)² per field. Deterministic; values are rounded to 8 significant digits.
    """
    pack = _Packing.of(start, free)
    target = np.log(measured_s)

    def residuals(theta: FloatArray) -> FloatArray:
        error = np.log(predict(pack.unpacked(theta))) - target
        loss = 2.0 * soft_error * (np.sqrt(error**2 + soft_error**2) - soft_error)
        held = pack.stiffness * (theta - pack.start)
        return np.concatenate([np.sign(error) * np.sqrt(loss), held])

    solution = least_squares(
        residuals,
        pack.start,
        bounds=(pack.low, pack.high),
        x_scale=pack.scale,
        max_nfev=max_steps,
        diff_step=np.full(len(pack.start), DIFFERENCE),
    )
    return pack.unpacked(solution.x, digits=SIGNIFICANT_DIGITS)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class _Packing:
    """How the free fields lie in one vector."""

    template: Any  # the dataclass being fitted
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    is_log: NDArray[np.bool_]
    start: FloatArray
    low: FloatArray
    high: FloatArray
    stiffness: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, template: Any, free: Mapping[str, Free]) -> "_Packing":  # noqa: ANN401 - any dataclass
        """Lay out the free fields in the order of the dataclass."""
        names = tuple(f.name for f in fields(template) if f.name in free)
        values = [np.atleast_1d(np.asarray(getattr(template, name), dtype=np.float64)) for name in names]
        sizes = tuple(len(value) for value in values)
        spread = np.repeat(np.arange(len(names)), sizes)
        low, high, stiffness = (
            np.array([getattr(free[name], key) for name in names], dtype=np.float64)[spread]
            for key in ("low", "high", "stiffness")
        )
        is_log = low > 0.0

        def put(x: FloatArray) -> FloatArray:
            return np.where(is_log, np.log(np.where(is_log, x, 1.0)), x)

        low, high = put(low), put(high)
        margin = 1e-9 * (high - low)
        start = np.clip(put(np.concatenate(values)), low + margin, high - margin)
        scale = np.clip(high - low, 1e-3, 1.0)
        return cls(template=template, names=names, sizes=sizes, is_log=is_log, start=start, low=low, high=high,
                   stiffness=stiffness, scale=scale)  # fmt: skip

    def unpacked(self, theta: FloatArray, digits: int = 0) -> Any:  # noqa: ANN401 - the type of the template
        """Return the coefficients that the vector stands for, to `digits` significant digits.

        0 leaves them exact: rounding would swallow the small steps of the numerical derivatives.
        """
        values = np.where(self.is_log, np.exp(np.where(self.is_log, theta, 0.0)), theta)
        changes: dict[str, float | tuple[float, ...]] = {}
        position = 0
        for name, size in zip(self.names, self.sizes, strict=True):
            part = tuple(float(f"{v:.{digits}g}") if digits else float(v) for v in values[position : position + size])
            changes[name] = part if isinstance(getattr(self.template, name), tuple) else part[0]
            position += size
        return replace(self.template, **changes)
