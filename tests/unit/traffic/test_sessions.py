"""Users and conversations wait for their answers; a turn's prompt holds all that was said before."""

import heapq
from itertools import pairwise

import pytest

from workloads.traffic.conversation import ConversationLaw
from workloads.traffic.lengths import Fixed, Lognormal
from workloads.traffic.sessions import ClosedLoop, Conversations

LAW = ConversationLaw(
    turns=Fixed(3), first_prompt=Fixed(100), later_prompt=Fixed(10), output=Fixed(30), gap_s=5.0, gap_cv=0.0,
    system_tokens=40, block_tokens=16,
)  # fmt: skip
SPREAD = ConversationLaw(
    turns=Lognormal(mean_tokens=3, cv=1.0), first_prompt=Lognormal(mean_tokens=100, cv=1.0),
    later_prompt=Fixed(10), output=Fixed(30), gap_s=5.0,
)  # fmt: skip


def served(traffic, answer_s):
    """All requests in the order in which a server with room for all of them sees them; each answered after `answer_s`
    of its session."""
    seen, ends = [], []
    firsts = traffic.first_requests()
    first = next(firsts, None)
    waiting = []
    while first or waiting or ends:
        times = [first.arrival_s if first else float("inf")]
        times += [heap[0][0] if heap else float("inf") for heap in (waiting, ends)]
        if times[2] == min(times):
            now_s, session = heapq.heappop(ends)
            if request := traffic.next_request(session, now_s):
                heapq.heappush(waiting, (request.arrival_s, session, request))
            continue
        if times[1] == min(times):
            request = heapq.heappop(waiting)[2]
        else:
            request, first = first, next(firsts, None)
        seen.append(request)
        heapq.heappush(ends, (request.arrival_s + answer_s(request.session), request.session))
    return seen


def conversations(law=LAW, n_requests=6):
    return Conversations(iter([0.0, 2.0, 50.0, 60.0]), law=law, n_requests=n_requests, seed=0)


def test_a_turn_comes_a_gap_after_the_end_of_the_one_before():
    seen = served(conversations(), lambda session: 1.0)
    assert [(request.session, request.arrival_s) for request in seen] == [
        (0, 0.0), (1, 2.0), (0, 6.0), (1, 8.0), (0, 12.0), (1, 14.0),
    ]  # fmt: skip


def test_a_prompt_holds_the_system_prompt_and_all_turns_before():
    turns = [request for request in served(conversations(), lambda session: 1.0) if request.session == 0]
    assert [turn.prompt_tokens for turn in turns] == [40 + 100, 140 + 30 + 10, 180 + 30 + 10]
    assert [turn.output_tokens for turn in turns] == [30, 30, 30]


def test_the_next_prompt_begins_with_the_blocks_of_the_last_prompt_and_reply():
    first, second, _ = (request for request in served(conversations(), lambda session: 1.0) if request.session == 0)
    assert len(first.prefix_ids) == 140 // 16
    known = [*first.prefix_ids, *first.reply_ids]
    assert len(known) == 170 // 16
    assert list(second.prefix_ids[: len(known)]) == known


def test_conversations_share_the_full_blocks_of_the_system_prompt_alone():
    first, other = served(conversations(), lambda session: 1.0)[:2]
    assert set(first.prefix_ids) & set(other.prefix_ids) == set(first.prefix_ids[: 40 // 16])


def test_the_last_conversation_is_cut_to_the_number_of_requests():
    seen = served(conversations(n_requests=5), lambda session: 1.0)
    assert [request.session for request in seen].count(1) == 2
    assert len(seen) == 5


def test_what_conversations_say_does_not_depend_on_how_fast_they_are_answered():
    def said(answer_s):
        seen = served(conversations(SPREAD, n_requests=12), answer_s)
        return sorted((request.session, request.prompt_tokens, request.output_tokens) for request in seen)

    assert said(lambda session: 1.0) == said(lambda session: 30.0 if session == 0 else 0.5)


def closed_loop(think_s, n_requests=20, n_users=3):
    lengths = Lognormal(mean_tokens=100, cv=1.0)
    return ClosedLoop(n_users=n_users, think_s=think_s, prompt=lengths, output=lengths, n_requests=n_requests, seed=1)


def test_users_who_never_think_ask_when_they_are_answered():
    seen = served(closed_loop(think_s=0.0, n_requests=6), lambda session: 2.0)
    assert [request.arrival_s for request in seen] == [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]


def test_no_user_has_two_requests_at_once():
    seen = served(closed_loop(think_s=5.0), lambda session: 2.0)
    assert len(seen) == 20
    for user in range(3):
        times_s = [request.arrival_s for request in seen if request.session == user]
        assert all(later - earlier >= 2.0 for earlier, later in pairwise(times_s))


def test_the_mean_time_to_think_is_as_stated():
    n = 20_000
    seen = served(closed_loop(think_s=5.0, n_requests=n, n_users=1), lambda session: 0.0)
    assert seen[-1].arrival_s / n == pytest.approx(5.0, abs=5 * 5.0 / n**0.5)


def test_fewer_requests_than_users_leave_users_idle():
    assert len(served(closed_loop(think_s=1.0, n_requests=2), lambda session: 1.0)) == 2
