"""What is known of every request while replicas work on it: one column per fact, indexed by the request's number."""

from array import array
from dataclasses import dataclass, field

from workloads.traffic.requests import Request, Requests

WAITING, RUNNING, DONE, REJECTED = range(4)
NEVER = float("nan")
FULL_QUEUE = "the queue is full"


def _seconds() -> "array[float]":
    return array("d")


def _whole() -> "array[int]":
    return array("q")


@dataclass(kw_only=True)
class Ledger:
    """Columns of requests in arrival order: arrays, 112 bytes per request in all, for under overload everybody waits.

    `emitted`: tokens answered when the request last left the decode batch; `state`: WAITING, RUNNING, DONE, REJECTED;
    `prefix_ids`: of the prompt, then of the reply where known, until the request is answered;
    `reason`: number in `reasons`, where rejected.
    """

    arrival_s: "array[float]" = field(default_factory=_seconds)
    prompt_tokens: "array[int]" = field(default_factory=_whole)
    output_tokens: "array[int]" = field(default_factory=_whole)
    prefix_ids: list[tuple[int, ...]] = field(default_factory=list)
    session: "array[int]" = field(default_factory=_whole)
    admitted_s: "array[float]" = field(default_factory=_seconds)
    first_token_s: "array[float]" = field(default_factory=_seconds)
    end_s: "array[float]" = field(default_factory=_seconds)
    hit_tokens: "array[int]" = field(default_factory=_whole)
    preemptions: "array[int]" = field(default_factory=_whole)
    replica: "array[int]" = field(default_factory=_whole)
    state: "array[int]" = field(default_factory=_whole)
    emitted: "array[int]" = field(default_factory=_whole)
    reason: "array[int]" = field(default_factory=_whole)
    reasons: list[str] = field(default_factory=lambda: [""])
    n_rejected: int = 0

    def extend(self, requests: Requests, n: int) -> range:
        """Take in the first `n` of more requests and return their numbers."""
        first = len(self.arrival_s)
        self.arrival_s.extend(requests.arrival_s_N[:n].tolist())
        self.prompt_tokens.extend(requests.prompt_tokens_N[:n].tolist())
        self.output_tokens.extend(requests.output_tokens_N[:n].tolist())
        self.session.extend(requests.session_N[:n].tolist())
        ids = requests.prefix_ids if requests.prefix_ids is not None else [()] * n
        self.prefix_ids += [tuple(one) for one in ids[:n]]
        self._enter(n)
        return range(first, first + n)

    def add(self, request: Request) -> int:
        """Take in one more request and return its number."""
        self.arrival_s.append(request.arrival_s)
        self.prompt_tokens.append(request.prompt_tokens)
        self.output_tokens.append(request.output_tokens)
        self.session.append(request.session)
        self.prefix_ids.append((*request.prefix_ids, *request.reply_ids))
        self._enter(1)
        return len(self.arrival_s) - 1

    def why_never(self, request: int, *, room_tokens: int, slots_ahead: int) -> str:
        """Return why a request can never be answered in a KV room of so many tokens, where `slots_ahead` more than its
        tokens are asked for, or nothing."""
        prompt, output = self.prompt_tokens[request], self.output_tokens[request]
        if prompt < 1 or output < 1:
            return f"{prompt} prompt and {output} output tokens: at least one of each is needed"
        if prompt + output - 1 + slots_ahead > room_tokens:
            drafts = f" and {slots_ahead} slots ahead of them" if slots_ahead else ""
            return f"{prompt} prompt and {output} output tokens{drafts} exceed the KV room of {room_tokens} tokens"
        return ""

    def _enter(self, n: int) -> None:
        for column in (self.admitted_s, self.first_token_s, self.end_s):
            column.extend([NEVER] * n)
        for counts in (self.hit_tokens, self.preemptions, self.emitted, self.state, self.reason):
            counts.extend([0] * n)
        self.replica.extend([-1] * n)

    def done(self, request: int, now_s: float) -> None:
        """Note that a request is answered; nobody needs its prefix ids any more."""
        self.end_s[request] = now_s
        self.state[request] = DONE
        self.prefix_ids[request] = ()

    def reject(self, request: int, reason: str) -> None:
        """Note that a request is turned away."""
        self.state[request] = REJECTED
        self.n_rejected += 1
        if self.reasons[-1] != reason:
            self.reasons.append(reason)
        self.reason[request] = len(self.reasons) - 1
        self.prefix_ids[request] = ()
