"""A plan in sentences: the recommendation first, what binds, what it rests on, failures, why nothing serves."""

from collections.abc import Iterator

from simulator.planner.listing import compared
from simulator.planner.nearest import Miss
from simulator.planner.plan_answer import PlanAnswer
from simulator.planner.settle import Settled
from simulator.planner.spares import together
from simulator.report.formats import money_text, number_text, share_text, time_text

_SEEN = 0.005  # of a price: what is less rounds to no per cent
_FEW = 3.0  # times a target: beyond, a factor says more than per cent
_LIMITS = {"tpot": "the TPOT target", "ttft": "the TTFT target", "memory": "KV memory",
           "prompts": "the prompts that full steps take"}  # fmt: skip
_TARGETS = {"ttft": "TTFT", "tpot": "TPOT", "goodput": "goodput", "queue": "the queue (it keeps growing)"}


def headline(answer: PlanAnswer) -> str:
    """Return the answer in one sentence, with its interval."""
    best = answer.best
    if best is None:
        return "Nothing serves: " + "; ".join(miss_words(miss) for miss in answer.misses)
    plan, unit = best.plan, "users" if answer.question.traffic.users else "requests/s"
    rate = f"{number_text(answer.wanted or best.rate_per_s)} {unit}"
    low, high = (answer.worth_of_rate * rate_per_s for rate_per_s in answer.interval["rate_per_s"])
    takes = f"take {rate}" if not answer.wanted else f"serve {rate}"
    usd_low, usd_high = answer.interval["usd_per_million_output_tokens"]
    said = (
        f"{plan.n_gpus} {plan.machine}: {plan.name}; they {takes} (10-90 %: room for {number_text(low)} to "
        f"{number_text(high)}) at {money_text(plan.usd_per_hour)} per hour, "
        f"{money_text(answer.usd_per_million(best))} per million output tokens ({money_text(usd_low)} to "
        f"{money_text(usd_high)})"
    )
    return f"{said}; {_standing(best)}."


def _standing(option: Settled) -> str:
    if option.confirmed:
        last = option.trials[-1]
        return (
            f"confirmed by replay: TTFT {time_text(last.ttft_s)}, TPOT {time_text(last.tpot_s)} at their percentiles, "
            f"{share_text(last.goodput_share)} of the requests within both"
        )
    if not option.trials:
        return "not replayed"
    missed = ", ".join(f"{_TARGETS[name]} by {share_text(part)}" for name, part in option.trials[-1].misses.items())
    return f"NOT confirmed: no replay met the targets (the last one missed {missed})"


def sentences(answer: PlanAnswer) -> list[str]:
    """Return what else is to be said, one sentence each."""
    return [
        *_binding(answer),
        *_failures(answer),
        *_prices(answer),
        *_jumps(answer),
        *_unserved(answer),
        *_work(answer),
    ]


def _binding(answer: PlanAnswer) -> Iterator[str]:
    best = answer.best
    if best is None:
        return
    plan = best.plan
    if plan.prefill:
        prompts, answers = plan.n_prefill * plan.prefill.rate_per_s, plan.n_decode * plan.decode.rate_per_s
        short = "prompts" if prompts < answers else "answers"
        yield (
            f"What binds: {short}; the prefill pool takes {number_text(prompts)} requests/s, limited by "
            f"{_LIMITS[plan.prefill.limited_by]}, the decode pool {number_text(answers)}, limited by "
            f"{_LIMITS[plan.decode.limited_by]}."
        )
    else:
        yield f"What binds: {_LIMITS[plan.decode.limited_by]}; {number_text(plan.rate_per_s)} requests/s at most."
    for name, sure in answer.sure.items():
        bound = ", ".join(f"{key} {share_text(part)}" for key, part in list(sure.bound_by.items())[:3])
        source = ", ".join(f"{key} {share_text(part)}" for key, part in sure.by_source.items())
        yield f"A step of {name} takes {time_text(sure.seconds)}: bound by {bound}; priced by {source}."
    if answer.wanted:
        room = plan.rate_per_s / best.rate_per_s - 1.0
        yield f"Headroom: {share_text(room)} more requests by reckoning, before a target is missed."


def _failures(answer: PlanAnswer) -> Iterator[str]:
    for s in answer.spares:
        yield (
            f"Failures of {s.pool}: a unit of {_counted(s.unit_gpus, 'GPU')} fails every "
            f"{number_text(s.unit_mtbf_s / 3600)} h and is back after {number_text(s.back_s / 3600)} h; all "
            f"{s.n_needed} are up {_up_text(s.without)} of the time, with {_counted(s.n_spare, 'spare unit')} "
            f"({_counted(s.n_gpus, 'GPU')}) {_up_text(s.availability)}."
        )
    best = answer.best
    if best is None:
        return
    wanted = answer.question.failures.availability_target
    reached = together(best.spares)
    beside = f"no spare GPU: {money_text(best.plan.usd_per_hour)}"
    if best.n_spare_gpus:
        beside = (
            f"{_counted(best.n_spare_gpus, 'spare GPU')} beside the {best.plan.n_gpus}: "
            f"{money_text(best.usd_per_hour_with_spares)}"
        )
    short = "" if reached >= wanted else ": NOT reached"
    yield (
        f"All that the load needs is up {_up_text(reached)} of the time (asked for {_up_text(wanted)}{short}) with "
        f"{beside} per hour."
    )


def _up_text(share: float) -> str:
    """A share of the time near 1: what is more than three decimals of a per cent show is not all of it."""
    return "over 99.999 %" if 0.99999 < share < 1.0 else f"{share * 100.0:.3f} %"


def _counted(n: int, thing: str) -> str:
    return f"{n:,} {thing}" + ("" if n == 1 else "s")


def _prices(answer: PlanAnswer) -> Iterator[str]:
    for other in answer.break_evens:
        yield (
            f"Break-even with {other.machine} ({other.plan.n_gpus} GPUs, {other.plan.name}): at "
            f"{money_text(other.usd_per_gpu_hour)} per GPU hour it costs the same; now {money_text(other.now)}."
        )


def _jumps(answer: PlanAnswer) -> Iterator[str]:
    for count in answer.counts:
        if count.cause:
            jump = "" if count.jump == float("inf") else f" ({count.jump:+.0%} per GPU)"
            yield f"At {count.n_gpus} GPUs{jump}: {count.cause}."


def _unserved(answer: PlanAnswer) -> Iterator[str]:
    if answer.best is not None:
        yield from (f"Not an answer: {miss_words(miss)}." for miss in answer.misses)


def miss_words(miss: Miss) -> str:
    """Return which target a machine misses, by how much, and what comes nearest."""
    if miss.target == "rate":
        return (
            f"on {miss.machine} at most {number_text(miss.reaches)} of {number_text(miss.allowed)} asked for are "
            f"served by {miss.n_gpus} GPUs: {miss.by}"
        )
    if miss.target == "memory":
        return (
            f"on {miss.machine} no replica allowed has room for one sequence: at least {miss.reaches / 1e9:.1f} GB per "
            f"GPU are needed of {miss.allowed / 1e9:.1f} GB ({miss.by})"
        )
    times = miss.reaches / miss.allowed
    beyond = f"{share_text(times - 1.0)} above" if times < _FEW else f"{number_text(times)} times"
    return (
        f"on {miss.machine} {_TARGETS[miss.target]} is {time_text(miss.reaches)} at best, {beyond} the "
        f"{time_text(miss.allowed)} asked for; nearest: {miss.by} on {_counted(miss.n_gpus, 'GPU')}, which meets a "
        f"{_TARGETS[miss.target]} of {time_text(miss.reaches)}"
    )


def _work(answer: PlanAnswer) -> Iterator[str]:
    tally = answer.tally
    replays = sum(len(option.trials) for option in answer.options)
    yield (
        f"Of {tally.n_candidates:,} ways to run a replica {tally.n_without_room:,} have no room, bounds rule out "
        f"{tally.n_bounded:,}, one step or two {tally.n_challenged:,}; {tally.n_simulated:,} were simulated to their "
        f"limit ({answer.n_steps:,} steps), {replays} replays."
    )


def trade_words(recommended: Settled, option: Settled, wanted: float) -> str:
    """Return what another plan trades against the recommended one."""
    best, other = recommended.plan, option.plan
    usd = compared(recommended, option, wanted)
    more = usd[1] / usd[0] - 1.0
    of_what = " with spares" if wanted else " per token" if option.trials else " per token by reckoning"
    words = [f"{more:+.0%} price{of_what}"] if abs(more) >= _SEEN else [f"the same price{of_what}"]
    if other.n_gpus != best.n_gpus:
        words.append(f"{other.n_gpus - best.n_gpus:+d} GPUs")
    if abs(other.decode.tpot_s / best.decode.tpot_s - 1.0) > 0.03:
        words.append(f"TPOT {time_text(other.decode.tpot_s)} for {time_text(best.decode.tpot_s)}")
    units = (other.decode.family.n_gpus, best.decode.family.n_gpus)
    if units[0] != units[1]:
        words.append(f"a failure idles {_counted(units[0], 'GPU')}, not {units[1]}")
    if other.serving != best.serving:
        words.append("no transfer of caches" if other.serving == "together" else "caches move between pools")
    return ", ".join(words)
