"""Little's law as a check on a run: what the schedulers counted against what the requests went through."""

from simulator.serving.results import ServingRun


def times_in_system_s(run: ServingRun) -> float:
    """Return the seconds that all requests together were in the system: from arrival to their end, or to the last step
    of their replica; rejected ones were never in it."""
    requests = run.requests
    served = requests[requests["state"] != "rejected"]
    last_s_N = run.clock_s_R[served["replica"].to_numpy()]
    left_s = served["end_s"].where(served["state"] == "done", last_s_N)
    return float((left_s - served["arrival_s"]).sum())


def littles_law_gap(run: ServingRun) -> float:
    """Return |L − λW| / λW: L the time average of the requests that the schedulers counted, λ requests per second, W
    the mean of their times in the system (Little 1961). 0 of a run in which nobody was served."""
    times_s = times_in_system_s(run)
    return abs(run.present_s - times_s) / times_s if times_s > 0.0 else 0.0
