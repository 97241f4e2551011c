"""What one step of a replica computes, and who knows how long that takes."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

Prefills = tuple[tuple[int, int], ...]


class Chunk(NamedTuple):
    """New tokens of a prompt in one step, and its tokens that are cached when the step starts."""

    request: int
    new_tokens: int
    context_tokens: int


class GroupBatch(NamedTuple):
    """One attention group's part of a step: `n_decode` sequences at decode with `context_tokens` in its KV cache in
    all, and (new tokens, tokens already cached) of its prompts or chunks."""

    n_decode: int
    context_tokens: int
    prefills: Prefills

    @property
    def prefill_tokens(self) -> int:
        """New prompt tokens."""
        return sum(new for new, _ in self.prefills)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """One step of a whole replica. `n_decode` sequences are at decode, with `decode_context_tokens` tokens in the KV
    cache in all when the step starts, `longest_decode_tokens` of the longest (0: not known); `prefills`: of each prompt
    or chunk (new tokens, tokens of it already cached). `fullest`: the part of the attention group for which the others
    wait, with most new tokens in a step with prompts, most cached ones in a step of decodes; None: the groups are
    alike."""

    n_decode: int
    decode_context_tokens: int
    prefills: Prefills = ()
    longest_decode_tokens: int = 0
    fullest: GroupBatch | None = None

    @property
    def prefill_tokens(self) -> int:
        """New prompt tokens of the step."""
        return sum(new for new, _ in self.prefills)

    @property
    def prefill_context_tokens(self) -> int:
        """Tokens already cached that the step's chunks attend to."""
        return sum(context for _, context in self.prefills)

    @property
    def prefill_pairs(self) -> float:
        """(query, key) pairs of the chunks' causal attention."""
        return sum(new * context + new * (new + 1) / 2.0 for new, context in self.prefills)


class StepTimes(Protocol):
    """Seconds of any step of a replica, on the GPU."""

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLine:
    """Seconds of pure decode steps of one batch size, linear in the cached tokens up to a border:
    `at_s` + `s_per_token` · (context − `from_tokens`), while context <= `until_tokens`."""

    from_tokens: float
    until_tokens: float
    at_s: float
    s_per_token: float


@runtime_checkable
class DecodeLines(Protocol):
    """Step times whose pure decodes are piecewise linear in the context: a run of steps then has a closed form."""

    def seconds(self, batch: StepBatch) -> float:
        """Return the seconds of one step [s]."""

    def decode_line(
        self, n_decode: int, decode_context_tokens: int, longest_decode_tokens: int = 0,
        fullest: GroupBatch | None = None,
    ) -> DecodeLine:  # fmt: skip
        """Return the line on which a decode step of that batch size and context lies."""
