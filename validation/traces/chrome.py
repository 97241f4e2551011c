"""The file of a profiler: Trace Event Format (JSON, plain or gzip), decoded block by block into plain columns.

Only events that the timeline needs are kept, and of them only the fields it needs, so that memory follows the number
of kept events and not the size of the file.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from hw_profiles.faults import Fault, InputFaults

_BLOCK_BYTES = 1 << 23  # decodes in some 20 ms; larger ones only cost memory
_NEAR_BYTES = 1 << 16
_ARRAY = re.compile(rb'(?<!\\)"traceEvents"\s*:\s*\[|\A\s*\[')
_BETWEEN = re.compile(rb"\}\s*,\s*(?=\{)")
_TRUNCATED = "truncated"  # msgspec's word where the text ends too early
_TRAILING = "trailing characters"  # and where it goes on
_GZIP_MAGIC = b"\x1f\x8b"
_RESUMED = b'{"traceEvents":['
_REMEDY = "record it again with torch.profiler's export_chrome_trace"


class Args(msgspec.Struct, gc=False):
    """What the profiler says beside an event, as far as a timeline needs it. No garbage collector: there are many."""

    device: Any = None
    stream: Any = None
    correlation: Any = None
    external_id: Any = msgspec.field(default=None, name="External id")
    n_bytes: Any = msgspec.field(default=None, name="bytes")


class Event(msgspec.Struct, gc=False):
    """One event; `ts` and `dur` in µs."""

    ph: str = ""
    cat: str = ""
    name: Any = ""
    pid: Any = None
    tid: Any = None
    ts: float | None = None
    dur: float | None = None
    args: Args | None = None


class Distributed(msgspec.Struct):
    """The rank that recorded the file, where the profiler knew it."""

    rank: int | None = None


class Header(msgspec.Struct, rename={"base_ns": "baseTimeNanoseconds", "distributed": "distributedInfo"}):
    """What stands around the events: `base_ns`, to which `ts` is relative, and the rank."""

    base_ns: int = 0
    distributed: Distributed | None = None


class _Rest(Header, rename={"events": "traceEvents"}):
    """The end of a file, from some event on."""

    events: list[Event] = []


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some events of a file, in its order; the last block also has the `header`."""

    events: list[Event]
    header: Header | None = None


_events = msgspec.json.Decoder(list[Event]).decode
_rest = msgspec.json.Decoder(_Rest).decode
_header = msgspec.json.Decoder(Header).decode


def blocks(path: Path) -> Iterator[Block]:
    """Yield the events of `path` block by block; raises InputFaults that says where the file is at fault."""
    try:
        with _opened(path) as file:
            yield from _Reading(path=path, file=file).blocks()
    except FileNotFoundError:
        raise fault(path, "no file", "check the path") from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise fault(path, f"a gzip file that is broken: {error}", _REMEDY) from None
    except OSError as error:
        raise fault(path, error.strerror or str(error), "check the path") from None


def fault(path: Path, got: str, remedy: str = _REMEDY) -> InputFaults:
    """The one fault of a file."""
    return InputFaults([Fault(field=str(path), got=got, allowed="a profiler trace with traceEvents", remedy=remedy)])


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC or path.suffix == ".gz"
    return cast("IO[bytes]", gzip.open(path, "rb")) if packed else path.open("rb")


@dataclass(kw_only=True)
class _Reading:
    """One pass over a file: `done_bytes` and `n_events` are behind it, `head` is all that stands before the events."""

    path: Path
    file: IO[bytes]
    head: bytes = b""
    done_bytes: int = 0
    n_events: int = 0

    def blocks(self) -> Iterator[Block]:
        text = self._skip_head()
        while more := self.file.read(_BLOCK_BYTES):
            text += more
            try:
                events, end = _whole_events(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise self._broken(text, error, 1) from None
            if events:
                self.n_events, self.done_bytes, text = self.n_events + len(events), self.done_bytes + end, text[end:]
                yield Block(events=events)
        yield self._last(text)

    def _skip_head(self) -> bytes:
        text = b""
        while not (found := _ARRAY.search(text)):
            more = self.file.read(_BLOCK_BYTES)
            if not more:
                raise self._no_events(text)
            text += more
        self.head, self.done_bytes = text[: found.end()], found.end()
        return text[found.end() :]

    def _no_events(self, text: bytes) -> InputFaults:
        if not text.strip():
            return fault(self.path, "an empty file")
        try:
            msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            early = f"a file that ends too early, before any event, at byte {len(text)}"
            return fault(self.path, early if _TRUNCATED in str(error) else f"what is no JSON ({error})")
        return fault(self.path, "JSON without a list traceEvents")

    def _last(self, text: bytes) -> Block:
        bare = b"traceEvents" not in self.head
        try:
            if bare:
                return Block(events=_events(b"[" + text), header=Header())
            # The head, with its list closed again, is a document of its own: base time and rank may stand there.
            before = _header(self.head + b"]}")
            rest = _rest(_RESUMED + text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._broken(text, error, 1 if bare else len(_RESUMED)) from None
        return Block(
            events=rest.events,
            header=Header(base_ns=rest.base_ns or before.base_ns, distributed=rest.distributed or before.distributed),
        )

    def _broken(self, text: bytes, error: Exception, n_added: int) -> InputFaults:
        message = str(error)
        if _TRUNCATED in message:
            events, _ = _whole_events(text)
            n_whole, size = self.n_events + len(events), self.done_bytes + len(text)
            return fault(self.path, f"a file that ends too early: after {n_whole} whole events, at byte {size}")
        if at := re.search(r"\(byte (\d+)\)", message):
            position = self.done_bytes + int(at[1]) - n_added
            return fault(self.path, f"what is no JSON at byte {position}: {message[: at.start()].strip()}")
        return fault(self.path, f"{message} (counted from event {self.n_events})")


def _whole_events(text: bytes) -> tuple[list[Event], int]:
    """The whole events at the start of `text` and where the next begins; none where even the first is not whole.

    A cut between "}" and "{" may lie inside an event. Then what stands before it is no complete list, which the
    decoder says, and the cut before that is tried. Behind the end of the list, all is left to the last block.
    Raises msgspec.DecodeError where the text is wrong in another way.
    """
    for end, start in _cuts(text):
        try:
            return _events(b"[" + text[:end] + b"]"), start
        except msgspec.DecodeError as error:
            if _TRAILING in str(error):
                return [], 0
            if _TRUNCATED not in str(error):
                raise
    return [], 0


def _cuts(text: bytes) -> Iterator[tuple[int, int]]:
    """Where a "}" ends and the next "{" starts, the last first; the last few are looked for at the end alone."""
    near = max(0, len(text) - _NEAR_BYTES)
    for first, last in ((near, len(text)), (0, near)):
        found = [(cut.start() + 1, cut.end()) for cut in _BETWEEN.finditer(text, first)]
        yield from reversed([cut for cut in found if cut[0] <= last])
