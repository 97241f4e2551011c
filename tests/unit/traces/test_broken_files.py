"""A file that is no trace is refused with one message that says what is wrong and where."""

import gzip
import json

import pytest

from hw_profiles.faults import InputFaults
from validation.traces import chrome
from validation.traces.reader import read_trace

OP = {
    "ph": "X",
    "cat": "cpu_op",
    "name": "aten::mm",
    "pid": 1,
    "tid": 1,
    "ts": 1.0,
    "dur": 2.0,
    "args": {"a": [{}, {}]},
}
WHOLE = json.dumps({"schemaVersion": 1, "traceEvents": [OP] * 200, "after": [{}, {"a": "}, {"}]}).encode()
FIRST = WHOLE.index(b"[") + 1
LENGTH = len(json.dumps(OP)) + 2  # with ", "


@pytest.fixture(params=[1 << 23, 300], ids=["one block", "small blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(chrome, "_BLOCK_BYTES", request.param)


@pytest.fixture
def refused(tmp_path):
    def read(content, name="trace.json"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputFaults) as raised:
            read_trace([path])
        (fault,) = raised.value.faults
        assert fault.field == str(path)
        return fault.got

    return read


@pytest.mark.usefixtures("block")
def test_the_same_events_come_out_whatever_the_blocks(tmp_path):
    (tmp_path / "trace.json").write_bytes(WHOLE)
    assert len(read_trace([tmp_path / "trace.json"])) == 1  # equal operators lie in one another
    assert sum(len(block.events) for block in chrome.blocks(tmp_path / "trace.json")) == 200


@pytest.mark.usefixtures("block")
def test_a_truncated_trace_says_after_which_event_and_byte(refused):
    size = FIRST + 57 * LENGTH + 20
    assert refused(WHOLE[:size]) == f"a file that ends too early: after 57 whole events, at byte {size}"


@pytest.mark.usefixtures("block")
def test_what_is_no_json_says_at_which_byte(refused):
    at = FIRST + 33 * LENGTH
    assert f"what is no JSON at byte {at}:" in refused(WHOLE[:at] + b"?" + WHOLE[at:])


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file"),
        (b" \n", "an empty file"),
        (b"hello", "what is no JSON"),
        (b'{"events": []}', "JSON without a list traceEvents"),
        (b'{"schemaVersion": 1, "devi', "a file that ends too early, before any event, at byte 26"),
        (b'{"traceEvents": []}', "no event of a kernel, a copy or an operator"),
        (json.dumps({"traceEvents": [OP | {"ts": "noon"}]}).encode(), "Expected `float"),
    ],
)
def test_a_file_without_a_trace_is_refused(refused, content, got):
    assert refused(content).startswith(got)


@pytest.mark.parametrize("lacking", ["ts", "dur"])
def test_an_event_without_a_time_is_refused(refused, lacking):
    timeless = {key: value for key, value in OP.items() if key != lacking}
    got = refused(json.dumps({"traceEvents": [OP, timeless]}).encode())
    assert got == f"event 1 (cpu_op 'aten::mm') without {lacking}"


def test_a_broken_gzip_file_is_refused(refused):
    packed = gzip.compress(WHOLE)
    assert refused(packed[: len(packed) // 2], "trace.json.gz").startswith("a gzip file that is broken")
    assert refused(WHOLE, "trace.json.gz").startswith("a gzip file that is broken")
    broken = packed[:20] + bytes([packed[20] ^ 255]) + packed[21:]
    assert refused(broken, "trace.json.gz").startswith("a gzip file that is broken")


def test_every_broken_file_is_named(tmp_path):
    with pytest.raises(InputFaults) as raised:
        read_trace([tmp_path / "a.json", tmp_path / "b.json"])
    assert [fault.got for fault in raised.value.faults] == ["no file", "no file"]
