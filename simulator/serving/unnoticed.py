"""Requests that have ended while the next step was put together without knowing of it."""


class Unnoticed:
    """Of a scheduler that is one step ahead: what ended in the step that runs, and in the one before, with its blocks.

    `pending`: whether blocks are to be freed at the next look.
    """

    def __init__(self) -> None:
        self._ended: list[tuple[int, int]] = []
        self._noticed: list[tuple[int, int]] = []

    def __contains__(self, request: int) -> bool:
        return any(request == ended for ended, _ in (*self._ended, *self._noticed))

    @property
    def pending(self) -> bool:
        """Whether something that has ended is free at the next look."""
        return bool(self._noticed)

    def add(self, request: int, own: int) -> None:
        """A request has ended that holds `own` blocks."""
        self._ended.append((request, own))

    def look(self) -> list[tuple[int, int]]:
        """Return (request, blocks) of what had ended before the last step began; what ended in it comes next time."""
        free, self._noticed, self._ended = self._noticed, self._ended, []
        return free
