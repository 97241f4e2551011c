"""Requests that leave a replica before they are answered."""

from typing import NamedTuple


class Left(NamedTuple):
    """A request that is at no replica since `since_s`; its last token, where it has one, was out at `last_token_s`
    [s]."""

    request: int
    since_s: float
    last_token_s: float
