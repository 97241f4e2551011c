"""What is known of every request while replicas work on it: one list per column, indexed by the request's number."""

from dataclasses import dataclass, field

from workloads.traffic.requests import Request, Requests

WAITING, RUNNING, DONE, REJECTED = range(4)
NEVER = float("nan")


@dataclass(kw_only=True)
class Ledger:
    """Columns of requests in arrival order, plain lists: they are read and written once or twice per request.

    `emitted`: tokens answered when the request last left the decode batch; `state`: WAITING, RUNNING, DONE, REJECTED.
    """

    arrival_s: list[float] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    output_tokens: list[int] = field(default_factory=list)
    prefix_ids: list[tuple[int, ...]] = field(default_factory=list)  # of the prompt, then of the reply where known
    session: list[int] = field(default_factory=list)
    admitted_s: list[float] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    end_s: list[float] = field(default_factory=list)
    hit_tokens: list[int] = field(default_factory=list)
    preemptions: list[int] = field(default_factory=list)
    replica: list[int] = field(default_factory=list)
    state: list[int] = field(default_factory=list)
    emitted: list[int] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)

    def extend(self, requests: Requests, n: int) -> range:
        """Take in the first `n` of more requests and return their numbers."""
        first = len(self.arrival_s)
        self.arrival_s += requests.arrival_s_N[:n].tolist()
        self.prompt_tokens += requests.prompt_tokens_N[:n].tolist()
        self.output_tokens += requests.output_tokens_N[:n].tolist()
        self.session += requests.session_N[:n].tolist()
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
            drafts = f" and {slots_ahead} slots for drafts" if slots_ahead else ""
            return f"{prompt} prompt and {output} output tokens{drafts} exceed the KV room of {room_tokens} tokens"
        return ""

    def _enter(self, n: int) -> None:
        for column in (self.admitted_s, self.first_token_s, self.end_s):
            column.extend([NEVER] * n)
        for counts in (self.hit_tokens, self.preemptions, self.emitted, self.state):
            counts.extend([0] * n)
        self.replica += [-1] * n
