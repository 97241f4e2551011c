"""An oracle for traffic on any links: one flow per message over the links that it crosses, max-min fair. Written for at
most 16 ranks and for nothing but being right."""

import math


def fair_rates(flows, capacity):
    """Rates at which no flow can gain without one of a flow that has less: the fullest link decides, in turn."""
    rates, spare = {}, dict(capacity)
    while len(rates) < len(flows):
        users = {link: [i for i, links in flows.items() if i not in rates and link in links] for link in spare}
        share, link = min((spare[link] / len(who), link) for link, who in users.items() if who)
        for i in users[link]:
            rates[i] = share
            for crossed in flows[i]:
                spare[crossed] -= share
    return rates


def makespan_s(messages, capacity):
    """When the last of `messages`, (bytes, links crossed), is there [s]."""
    left, now = {i: n_bytes for i, (n_bytes, _) in enumerate(messages) if n_bytes > 0.0}, 0.0
    while left:
        rates = fair_rates({i: messages[i][1] for i in left}, capacity)
        step_s = min(left[i] / rates[i] for i in left)
        left = {i: n for i, rate in rates.items() if (n := left[i] - rate * step_s) > 1e-9 * messages[i][0]}
        now += step_s
        assert math.isfinite(now)
    return now
