"""Prefill and decode apart: prompts are computed on one pool of replicas and answered on another."""

from collections.abc import Sequence
from typing import Any

from simulator.serving.moving import Source
from simulator.serving.replica import Replica
from simulator.serving.rotation import Rotation
from simulator.serving.split_replicas import DecodeReplica, PrefillReplica, Prompt
from simulator.serving.together import Together


class Split(Together):
    """Both pools at work; `to_decode` says which of the `decodes` answers a prompt."""

    def __init__(
        self,
        *,
        to_decode: Rotation[DecodeReplica],
        decodes: Sequence[DecodeReplica],
        **together: Any,  # noqa: ANN401 (as its own)
    ) -> None:
        super().__init__(**together)
        self._decodes = decodes
        self._to_decode = to_decode
        self._no_decode: list[Prompt] = []

    def why_never(self, request: int) -> str:
        """Return why a request can never be answered, or nothing."""
        return self._decodes[0].why_never(request)

    def moved(self, replica: Replica, source: Source) -> None:
        """See to what a replica has done."""
        super().moved(replica, source)
        if isinstance(replica, PrefillReplica):
            self._no_decode += replica.take_prompts()
        elif isinstance(replica, DecodeReplica):
            for left in replica.take_those_without_prompt():
                self.again(left, source)
        prompts, self._no_decode = self._no_decode, []
        for prompt in prompts:
            self._expect(prompt, replica.now_s)

    def _expect(self, prompt: Prompt, now_s: float) -> None:
        chosen = self._to_decode.choose(prompt.request)
        if chosen is None:
            self._no_decode.append(prompt)
        else:
            chosen.expect(prompt, max(prompt.ready_s, now_s))
