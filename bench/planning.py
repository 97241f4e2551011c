"""`longsim plan` as whole processes, and candidates per second by bounds and fully simulated."""

import sys
import time

from process import wall_s

from simulator.planner.load import load_of
from simulator.planner.plan_files import load_question
from simulator.planner.workshop import Workshop, promise_of
from simulator.serving.step_times import StepBatch

PLAN = [sys.executable, "-m", "longsim", "plan"]


def candidates_per_s() -> tuple[float, float]:
    """Return families per second bounded to their limit, and steps of new families per second simulated."""
    question = load_question("deepseek-v3-h200x32")
    shop, promise = Workshop(question, "h200_sxm", load_of(question)), promise_of(question)
    found = [family for family in shop.families("decode", 32) if family.n_gpus >= 8]
    began_s = time.perf_counter()
    for family in found:
        shop.upper(family, promise)
    bounded_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    for family in found:
        n = 64 * family.n_groups
        shop.times(family).seconds(StepBatch(n_decode=n, decode_context_tokens=n * 4500))
    simulated_s = time.perf_counter() - began_s
    return len(found) / bounded_s, len(found) / simulated_s


def measure() -> dict[str, float]:
    """Return the figures."""
    bounded, simulated = candidates_per_s()
    return {
        "planning.bounded_per_s": bounded,
        "planning.simulated_per_s": simulated,
        "planning.deepseek_32_h200_s": wall_s([*PLAN, "deepseek-v3-h200x32"]),
        "planning.longcat_256_h800_s": wall_s([*PLAN, "longcat-flash-chat"]),
    }
