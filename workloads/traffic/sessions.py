"""Traffic that waits for answers: a session's next request comes after the end of its last one.

Whoever serves it takes `first_requests` as they come and asks `next_request` at the end of every request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from workloads.traffic.conversation import Conversation, ConversationLaw, draw_conversation, turn_request
from workloads.traffic.lengths import Lengths
from workloads.traffic.requests import Request
from workloads.traffic.streams import SESSIONS, stream


class SessionTraffic(Protocol):
    """Requests of sessions (users, conversations, agents), at most one of each at a time. Its state goes with one run;
    what a session asks does not depend on the order in which sessions end."""

    def first_requests(self) -> Iterator[Request]:
        """Yield each session's first request in the order of arrival, lazily."""

    def next_request(self, session: int, now_s: float) -> Request | None:
        """Return what `session` asks next, its last request having ended at `now_s`; None if nothing more."""


class ClosedLoop:
    """`n_users` users who ask, read the answer, think for an exponential time of mean `think_s` [s] and ask again,
    until `n_requests` are asked in all. Each starts with a time to think; requests share no prefix."""

    def __init__(
        self, *, n_users: int, think_s: float, prompt: Lengths, output: Lengths, n_requests: int, seed: int
    ) -> None:
        self._think_s, self._prompt, self._output = think_s, prompt, output
        self._rngs = [stream(seed, SESSIONS, user) for user in range(min(n_users, n_requests))]
        self._n_left = n_requests

    def first_requests(self) -> Iterator[Request]:
        """Yield one request per user in the order of arrival."""
        firsts = [self._draw(user, 0.0) for user in range(len(self._rngs))]
        self._n_left -= len(firsts)
        return iter(sorted(firsts, key=lambda request: (request.arrival_s, request.session)))

    def next_request(self, session: int, now_s: float) -> Request | None:
        """Return the next request of user `session`, whose last one ended at `now_s`; None once all were asked."""
        if self._n_left == 0:
            return None
        self._n_left -= 1
        return self._draw(session, now_s)

    def _draw(self, user: int, now_s: float) -> Request:
        rng = self._rngs[user]
        return Request(
            arrival_s=now_s + float(rng.exponential(self._think_s)),
            prompt_tokens=int(self._prompt.draw(1, rng)[0]),
            output_tokens=int(self._output.draw(1, rng)[0]),
            session=user,
        )


@dataclass
class _Talk:
    """A conversation under way and the turn that it awaits an answer to."""

    conversation: Conversation
    turn: int = 0


class Conversations:
    """Conversations of `law` that start at the times of `starts_s`, until `n_requests` turns are planned in all (the
    last conversation is cut to that). Only those under way are kept."""

    def __init__(self, starts_s: Iterator[float], *, law: ConversationLaw, n_requests: int, seed: int) -> None:
        self._starts_s, self._law, self._n_requests, self._seed = starts_s, law, n_requests, seed
        self._talks: dict[int, _Talk] = {}

    def first_requests(self) -> Iterator[Request]:
        """Yield the first turn of each conversation in the order of arrival."""
        n_left = self._n_requests
        for session, start_s in enumerate(self._starts_s):
            rng = stream(self._seed, SESSIONS, session)
            conversation = draw_conversation(self._law, most_turns=n_left, rng=rng)
            n_left -= conversation.n_turns
            self._talks[session] = _Talk(conversation)
            yield turn_request(conversation, 0, session=session, arrival_s=start_s)
            if n_left == 0:
                return

    def next_request(self, session: int, now_s: float) -> Request | None:
        """Return the next turn of conversation `session`, whose last one ended at `now_s`; None after its last turn."""
        talk = self._talks[session]
        talk.turn += 1
        if talk.turn == talk.conversation.n_turns:
            del self._talks[session]
            return None
        arrival_s = now_s + float(talk.conversation.gap_s_T[talk.turn])
        return turn_request(talk.conversation, talk.turn, session=session, arrival_s=arrival_s)
