"""Who gets how much: SMs in the order of start, bytes/s by max-min fairness.

A few activities on a few resources: plain lists and ints, because arrays cost more than they save here.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What one activity wants on one device: SM-seconds on up to `sms` SMs (all of them or none if `holds`), and
    bytes on resources by number; `byte_rate` is its pace [1/s] if bytes alone bound it, of which it keeps
    `share_beside_compute` while a claim with SM time goes on, which keeps `compute_share` of its own meanwhile. A claim
    without work only holds its SMs."""

    sm_s: float
    sms: int
    holds: bool
    bytes_on: tuple[tuple[int, float], ...]
    byte_rate: float
    share_beside_compute: float = 1.0
    compute_share: float = 1.0


def make_claim(
    *,
    sm_s: float,
    sms: int,
    holds: bool,
    bytes_on: Sequence[tuple[int, float]],
    capacity: Sequence[float],
    share_beside_compute: float = 1.0,
    compute_share: float = 1.0,
) -> Claim:
    """Return the claim; resources on which it moves nothing are left out."""
    used = tuple((resource, n_bytes) for resource, n_bytes in bytes_on if n_bytes > 0.0)
    byte_rate = min((capacity[resource] / n_bytes for resource, n_bytes in used), default=float("inf"))
    return Claim(sm_s, sms, holds, used, byte_rate, share_beside_compute, compute_share)


def grant_sms(claims: Sequence[Claim], n_sms: int) -> list[int]:
    """Return the SMs of each claim, in order of start: a holder takes all it wants or nothing, others up to that.

    What is left goes on only when the kernels before have all they want (the leftover policy of GPUs; Amert et al.,
    RTSS 2017): nobody overtakes a holder that waits, so that no kernel ever loses SMs to an earlier one.
    """
    free, granted = n_sms, []
    for claim in claims:
        wanted = claim.sms if claim.sms < n_sms else n_sms
        take = wanted if wanted <= free else (0 if claim.holds else free)
        granted.append(take)
        free = free - take if take == wanted else 0
    return granted


def progress_rates(claims: Sequence[Claim], n_sms: int, capacity: Sequence[float]) -> list[float]:
    """Return how fast each claim's work goes [1/s], all at once.

    SMs cap the pace; then every resource is filled max-min fairly: activities that cannot use an equal share of it
    leave the rest to the others. A claim that gets no SM stands still.
    """
    limits = []
    for claim, sms in zip(claims, grant_sms(claims, n_sms), strict=True):
        cap = sms / claim.sm_s if claim.sm_s else (0.0 if claim.sms and not sms else float("inf"))
        limits.append(cap if cap < claim.byte_rate else claim.byte_rate)
    if any(claim.sm_s and limit for claim, limit in zip(claims, limits, strict=True)):
        slowed = min(claim.compute_share if limit else 1.0 for claim, limit in zip(claims, limits, strict=True))
        limits = [
            limit * claim.share_beside_compute * (slowed if claim.sm_s else 1.0)
            for claim, limit in zip(claims, limits, strict=True)
        ]
    usage: dict[int, float] = {}
    for claim, limit in zip(claims, limits, strict=True):
        if limit:
            for resource, n_bytes in claim.bytes_on:
                usage[resource] = usage.get(resource, 0.0) + limit * n_bytes
    over = [resource for resource, used in usage.items() if used > capacity[resource] * (1.0 + 1e-12)]
    if not over:
        return limits
    if len(over) == 1:
        return _fill_one(claims, limits, over[0], capacity[over[0]])
    return _fill_all(claims, limits, capacity)


def _fill_one(claims: Sequence[Claim], limits: list[float], resource: int, capacity: float) -> list[float]:
    """Only one resource is short: share it equally among those who can use an equal share."""
    n_bytes_on = [dict(claim.bytes_on).get(resource, 0.0) for claim in claims]
    wanting = sorted((limits[i] * n_bytes, i) for i, n_bytes in enumerate(n_bytes_on) if n_bytes and limits[i])
    rates, left = list(limits), capacity
    for position, (wanted, i) in enumerate(wanting):
        share = left / (len(wanting) - position)
        got = wanted if wanted < share else share
        rates[i] = limits[i] * (got / wanted)
        left -= got
    return rates


def _fill_all(claims: Sequence[Claim], limits: list[float], capacity: Sequence[float]) -> list[float]:
    """Progressive filling over several short resources (Bertsekas and Gallager, Data Networks, section 6.5.2)."""
    rates: dict[int, float] = {i: limit for i, limit in enumerate(limits) if limit == 0.0 or not claims[i].bytes_on}
    residual = list(capacity)
    while len(rates) < len(claims):
        unsettled = [i for i in range(len(claims)) if i not in rates]
        users: dict[int, int] = {}
        for i in unsettled:
            for resource, _ in claims[i].bytes_on:
                users[resource] = users.get(resource, 0) + 1
        level = {resource: residual[resource] / n for resource, n in users.items()}
        for i, rate in _settled(claims, limits, unsettled, level).items():
            rates[i] = rate
            for resource, n_bytes in claims[i].bytes_on:
                residual[resource] = max(0.0, residual[resource] - rate * n_bytes)
    return _top_up(claims, limits, [rates[i] for i in range(len(claims))], capacity)


def _top_up(
    claims: Sequence[Claim], limits: Sequence[float], rates: list[float], capacity: Sequence[float]
) -> list[float]:
    """Give what fair shares have left unused to those who can still use it, in order of start: a claim that several
    resources bind may settle below the share that one of them has for it in the end."""
    spare = list(capacity)
    for claim, rate in zip(claims, rates, strict=True):
        for resource, n_bytes in claim.bytes_on:
            spare[resource] -= rate * n_bytes
    for i, claim in enumerate(claims):
        room = min((spare[resource] / n_bytes for resource, n_bytes in claim.bytes_on), default=0.0)
        more = min(limits[i] - rates[i], room) if room > 0.0 else 0.0
        rates[i] += more
        for resource, n_bytes in claim.bytes_on:
            spare[resource] -= more * n_bytes
    return rates


def _settled(
    claims: Sequence[Claim], limits: Sequence[float], unsettled: Sequence[int], level: dict[int, float]
) -> dict[int, float]:
    """Return the claims whose rate is now certain: those that even an equal share does not slow; else the users of
    the fullest resource that are bound elsewhere; else all users of that resource, at an equal share."""
    share = {i: min(level[r] / n for r, n in claims[i].bytes_on) for i in unsettled}
    unslowed = {i: limits[i] for i in unsettled if limits[i] <= share[i]}
    if unslowed:
        return unslowed
    tightest = min(level, key=lambda resource: level[resource])
    users = {i: dict(claims[i].bytes_on)[tightest] for i in unsettled if tightest in dict(claims[i].bytes_on)}
    elsewhere = {i: share[i] for i, n_bytes in users.items() if share[i] * n_bytes < level[tightest] * (1 - 1e-12)}
    return elsewhere or {i: share[i] for i in users}
