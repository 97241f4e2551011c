"""Conversations and agent loops: every turn's prompt holds all that was said before.

T turns of one conversation.
"""

from dataclasses import dataclass

import numpy as np

from workloads.ops import FloatArray, IntArray
from workloads.traffic.lengths import Lengths, lognormal
from workloads.traffic.requests import Request

BLOCK_TOKENS = 16  # vLLM's default block of the KV cache (CacheConfig.block_size on CUDA)
_BLOCKS_PER_SESSION = 1 << 24  # ids of one session: room for 268 M tokens


@dataclass(frozen=True, kw_only=True)
class ConversationLaw:
    """How conversations are drawn. `turns`: requests of one; `first_prompt`, `later_prompt`: new tokens of the first
    and of every later turn (a user's message, a tool's result); `output`: of each reply; `gap_s`, `gap_cv`: mean and
    coefficient of variation of the lognormal time from a reply's end to the next turn [s]; `system_tokens`: a system
    prompt, the same in all conversations, before the first turn; `block_tokens` of the prefix ids."""

    turns: Lengths
    first_prompt: Lengths
    later_prompt: Lengths
    output: Lengths
    gap_s: float
    gap_cv: float = 1.0
    system_tokens: int = 0
    block_tokens: int = BLOCK_TOKENS


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """One drawn conversation: per turn the whole prompt and the reply [tokens], and the gap before it [s]."""

    prompt_tokens_T: IntArray
    output_tokens_T: IntArray
    gap_s_T: FloatArray
    system_tokens: int
    block_tokens: int

    @property
    def n_turns(self) -> int:
        """Number of requests."""
        return len(self.prompt_tokens_T)


def draw_conversation(law: ConversationLaw, *, most_turns: int, rng: np.random.Generator) -> Conversation:
    """Return a conversation of at most `most_turns` turns: prompt_t = system + Σ_{i≤t} new_i + Σ_{i<t} output_i."""
    n_turns = min(int(law.turns.draw(1, rng)[0]), most_turns)
    new_T = np.concatenate([law.first_prompt.draw(1, rng), law.later_prompt.draw(n_turns - 1, rng)])
    output_T = law.output.draw(n_turns, rng)
    said_before_T = np.concatenate([[0], np.cumsum(output_T)[:-1]])
    return Conversation(
        prompt_tokens_T=law.system_tokens + np.cumsum(new_T) + said_before_T,
        output_tokens_T=output_T,
        gap_s_T=lognormal(law.gap_s, law.gap_cv, n_turns, rng),
        system_tokens=law.system_tokens,
        block_tokens=law.block_tokens,
    )


def turn_request(conversation: Conversation, turn: int, *, session: int, arrival_s: float) -> Request:
    """Return turn `turn` as a request. Its ids name full blocks alone, as engines cache them: blocks within the system
    prompt are those of all conversations, later ones of this `session`."""
    prompt, output = int(conversation.prompt_tokens_T[turn]), int(conversation.output_tokens_T[turn])
    block = conversation.block_tokens
    n_shared, n_prompt, n_all = (tokens // block for tokens in (conversation.system_tokens, prompt, prompt + output))
    own = (session + 1) * _BLOCKS_PER_SESSION
    return Request(
        arrival_s=arrival_s,
        prompt_tokens=prompt,
        output_tokens=output,
        session=session,
        prefix_ids=(*range(n_shared), *range(own + n_shared, own + n_prompt)),
        reply_ids=range(own + n_prompt, own + n_all),
        block_tokens=block,
    )
