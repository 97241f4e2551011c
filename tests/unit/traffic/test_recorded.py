"""Traces in all accepted forms give the same requests, chunk by chunk; what is malformed names its line."""

import tracemalloc

import numpy as np
import pytest
from unit.traffic.trace_files import TRACES, write

from hw_profiles.faults import InputFaults
from workloads.traffic.recorded import read_requests, recorded_lengths

HEADER = "arrival_s,prompt_tokens,output_tokens\n"


def faults_of(path, **options):
    with pytest.raises(InputFaults) as error:
        list(read_requests(path, **options))
    return [str(fault) for fault in error.value.faults]


def column(chunks, name):
    return np.concatenate([getattr(chunk, name) for chunk in chunks]).tolist()


@pytest.mark.parametrize("name", TRACES)
def test_every_known_form_gives_the_same_requests(name, tmp_path):
    (chunk,) = read_requests(write(tmp_path, name, TRACES[name]))
    assert chunk.arrival_s_N.tolist() == [0.0, 0.5, 2.0]
    assert chunk.prompt_tokens_N.tolist() == [600, 1200, 20]
    assert chunk.output_tokens_N.tolist() == [10, 8, 1]


def test_hash_ids_become_prefixes_of_512_tokens(tmp_path):
    (chunk,) = read_requests(write(tmp_path, "mooncake.jsonl", TRACES["mooncake.jsonl"]))
    assert chunk.block_tokens == 512
    assert [list(ids) for ids in chunk.prefix_ids] == [[0, 1], [0, 1, 2], [3]]
    assert [list(request.prefix_ids) for request in chunk.one_by_one()] == [[0, 1], [0, 1, 2], [3]]


def test_without_hash_ids_no_prefix_is_known(tmp_path):
    (chunk,) = read_requests(write(tmp_path, "azure.csv", TRACES["azure.csv"]))
    assert chunk.prefix_ids is None


def test_sessions_are_numbered_as_they_appear(tmp_path):
    (chunk,) = read_requests(write(tmp_path, "burst.csv", TRACES["burst.csv"]))
    assert chunk.session_N.tolist() == [0, 1, 0]


def test_a_request_without_a_session_belongs_to_none(tmp_path):
    text = "arrival_s,prompt_tokens,output_tokens,session\n0,1,1,x\n0,1,1,\n"
    (chunk,) = read_requests(write(tmp_path, "t.csv", text))
    assert chunk.session_N.tolist() == [0, -1]


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 100])
def test_chunks_join_to_the_whole(chunk_rows, tmp_path):
    chunks = list(read_requests(write(tmp_path, "burst.csv", TRACES["burst.csv"]), chunk_rows=chunk_rows))
    assert max(map(len, chunks)) <= chunk_rows
    assert column(chunks, "arrival_s_N") == [0.0, 0.5, 2.0]
    assert column(chunks, "session_N") == [0, 1, 0]


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_the_first_requests_of_a_trace_whatever_follows(chunk_rows, tmp_path):
    path = write(tmp_path, "t.csv", HEADER + "0,1,1\n\n1,2,1\nbroken\n")
    assert column(read_requests(path, n_requests=2, chunk_rows=chunk_rows), "prompt_tokens_N") == [1, 2]


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak_bytes(n_rows):
        path = write(
            tmp_path, f"{n_rows}.csv", HEADER + "".join(f"{i / 10},{i % 4000 + 1},200\n" for i in range(n_rows))
        )
        tracemalloc.start()
        n_read = sum(len(chunk) for chunk in read_requests(path, chunk_rows=2000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_read == n_rows
        return peak

    peak_bytes(2000)  # what a first read leaves in caches
    assert peak_bytes(100_000) < 1.3 * peak_bytes(10_000)  # two chunks at most live at once, in both


MALFORMED = {
    "no number": ("0,1,1\n1,many,1\n", "t.csv, line 3, prompt_tokens: got 'many'; allowed a whole number, at least 1"),
    "negative tokens": ("0,-5,1\n", "t.csv, line 2, prompt_tokens: got '-5'; allowed a whole number, at least 1"),
    "zero tokens": ("0,5,0\n", "t.csv, line 2, output_tokens: got '0'; allowed a whole number, at least 1"),
    "half a token": ("0,5,1.5\n", "t.csv, line 2, output_tokens: got '1.5'; allowed a whole number"),
    "no tokens": ("0,,3\n", "t.csv, line 2, prompt_tokens: got nothing; allowed a whole number"),
    "no time": ("soon,1,1\n", "t.csv, line 2, arrival_s: got 'soon'; allowed a number"),
    "endless time": ("0,1,1\ninf,1,1\n", "t.csv, line 3, arrival_s: got 'inf'; allowed a number"),
    "back in time": ("3,1,1\n5,1,1\n4,1,1\n5,1,1\n", "t.csv, line 4, arrival_s: got '4'; allowed no time before"),
    "too few fields": ("0,1,1\n1,1\n", "t.csv, line 3: got 2 fields; allowed 3 fields"),
    "too many fields": ("0,1,1,9\n", "t.csv, line 2: got 4 fields; allowed 3 fields"),
    "after an empty line": ("\n\n0,0,1\n", "t.csv, line 4, prompt_tokens: got '0'"),
    "after a field of two lines": ('0,"1\n",1\n1,0,1\n', "t.csv, line 4, prompt_tokens: got '0'"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("chunk_rows", [1, 100])
def test_a_malformed_line_is_named(case, chunk_rows, tmp_path):
    text, expected = MALFORMED[case]
    (fault,) = faults_of(write(tmp_path, "t.csv", HEADER + text), chunk_rows=chunk_rows)
    assert fault.startswith(expected)


MALFORMED_JSON = {
    "no JSON": ("{oops", "t.jsonl, line 2: got Expecting property name enclosed in double quotes at character 2;"),
    "no object": ("[1]", "t.jsonl, line 2: got a list; allowed one JSON object"),
    "no tokens": ('{"timestamp": 5, "output_length": 1, "hash_ids": []}', "t.jsonl, line 2, input_length: got nothing"),
    "wrong ids": (
        '{"timestamp": 5, "input_length": 513, "output_length": 1, "hash_ids": [7]}',
        "t.jsonl, line 2, hash_ids: got 1 values; allowed a list of 2 whole numbers, one per 512 tokens",
    ),
    "no ids": ('{"timestamp": 5, "input_length": 5, "output_length": 1}', "t.jsonl, line 2, hash_ids: got None"),
}


@pytest.mark.parametrize("case", MALFORMED_JSON)
def test_a_malformed_object_is_named(case, tmp_path):
    text, expected = MALFORMED_JSON[case]
    first = '{"timestamp": 0, "input_length": 600, "output_length": 1, "hash_ids": [0, 1]}\n'
    assert any(fault.startswith(expected) for fault in faults_of(write(tmp_path, "t.jsonl", first + text + "\n")))


def test_a_malformed_date_is_named(tmp_path):
    text = TRACES["azure.csv"].replace("2023-11-16 18:17:04", "yesterday")
    (fault,) = faults_of(write(tmp_path, "t.csv", text))
    assert fault.startswith("t.csv, line 3, TIMESTAMP: got 'yesterday.4799600'; allowed a date and time")


def test_bytes_that_are_no_text_are_a_fault_only_where_they_count(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"model,arrival_s,prompt_tokens,output_tokens\r\nna\xefve,0,5,1\r\nx,1,\xef,1\r\n")
    (fault,) = faults_of(path)
    assert fault.startswith("t.csv, line 3, prompt_tokens")


def test_a_quote_that_nothing_closes_is_a_fault(tmp_path):
    (fault,) = faults_of(write(tmp_path, "t.csv", HEADER + '0,1,1\n1,"5,1\n' + "2,1,1\n" * 100_000))
    assert "field larger than field limit" in fault
    assert fault.endswith("close the quote that was opened on this line or above")


def test_faults_come_together_in_the_order_of_lines(tmp_path):
    path = write(tmp_path, "t.csv", HEADER + "0,1,0\n1,0,1\n2,1\nx,1,1\n")
    found = faults_of(path, chunk_rows=2)
    assert [fault.split(":")[0] for fault in found] == [
        "t.csv, line 2, output_tokens", "t.csv, line 3, prompt_tokens", "t.csv, line 4", "t.csv, line 5, arrival_s",
    ]  # fmt: skip


def test_no_more_than_twenty_faults_are_told(tmp_path):
    found = faults_of(write(tmp_path, "t.csv", HEADER + "0,0,0\n" * 1000))
    assert len(found) == 20
    assert found[-1].startswith("t.csv, line 11, ")


def test_missing_columns_are_told_before_anything_is_read(tmp_path):
    path = write(tmp_path, "t.csv", "when,prompt_tokens\n0,1\n")
    with pytest.raises(InputFaults) as error:
        read_requests(path)
    assert [fault.field for fault in error.value.faults] == ["t.csv, time of arrival", "t.csv, output tokens"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (HEADER.encode(), "no row of values"),
        (b"\xff\xfe\x00", "no text: a compressed or binary file"),
        (b'[{"timestamp": 0}]', "a JSON array"),
        (b"arrival_s;prompt_tokens;output_tokens\n0;3;4\n", "fields separated by ';', not by commas"),
        (b"arrival_s\tprompt_tokens\n0\t3\n", r"fields separated by '\\t', not by commas"),
        (b"{oops", "at character 2"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_trace_is_told(content, reason, tmp_path):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputFaults, match=reason):
        read_requests(path)


def test_recorded_lengths_need_no_times(tmp_path):
    path = write(tmp_path, "t.csv", "input_len,output_len\n5,1\n7,2\n")
    assert recorded_lengths(path, "prompt").tolist() == [5, 7]
    assert recorded_lengths(path, "output").tolist() == [1, 2]
