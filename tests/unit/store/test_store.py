import os
import resource
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from store_cases import conditions

from hw_profiles.faults import InputFaults
from simulator.question import load_question
from simulator.store import VERSION, Member, open_store
from simulator.stored_run import run_question


@pytest.fixture
def run(small):
    return run_question(load_question(small), "a" * 32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


def fault_of(path, *, reads_only=False):
    with pytest.raises(InputFaults) as raised, open_store(path, reads_only=reads_only):
        pass
    return str(raised.value)


def test_a_run_comes_back_as_it_went_in(path, run):
    member = Member(position=0, name="x", chosen={"a": "1"}, key=run.key)
    with open_store(path) as store:
        store.begin_sweep("s", title="t", n=1)
        store.add("s", [member], run)
    with open_store(path, reads_only=True) as store:
        assert list(store.members("s")) == [(member, run)]
        assert store.sweeps() == [("s", "t", 1, 1)]


def test_a_run_that_is_there_stays(path, run):
    with open_store(path) as store:
        store.add("s", [], run)
        store.add("s", [], replace(run, name="later"))
        assert [found.name for found in store.runs()] == [run.name]


@pytest.mark.parametrize(("where", "found"), [
    ("layout.ep", 8), ("schedule", "sequential"), ("run.contention", True), ("mtp.acceptance", []),
])  # fmt: skip
def test_runs_are_found_by_the_values_of_their_scenario(path, run, where, found):
    with open_store(path) as store:
        store.add("s", [], run)
        assert [one.key for one in store.runs(conditions(where, found))] == [run.key]
        assert list(store.runs(conditions(where, "nothing"))) == []


def test_a_file_that_is_no_store_is_left_alone(path):
    path.write_text("a diary, longer than the header of a database would be" * 4)
    before = path.read_bytes()
    assert "file is not a database" in fault_of(path)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_left_alone(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE runs (distance REAL)")
    other.close()
    before = path.read_bytes()
    assert "is no store of runs" in fault_of(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "remedy"), [(VERSION + 1, "update longsim"), (0, "choose another file")])
def test_a_store_of_another_version_is_refused_with_words(path, version, remedy):
    with open_store(path):
        pass
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {version}")
    other.close()
    words = fault_of(path)
    assert f"a store of version {version}; allowed version {VERSION}; {remedy}" in words


def test_reading_makes_no_store(path):
    assert "where no file is" in fault_of(path, reads_only=True)
    assert not path.exists()


@contextmanager
def no_rights():
    """Nothing is read-only for root: be nobody for a while."""
    mine = os.geteuid()
    os.seteuid(mine or 65534)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_a_read_only_folder_is_read_and_not_written(run):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "runs.sqlite"
        with open_store(path) as store:
            store.add("s", [], run)
        before = path.read_bytes()
        path.chmod(0o444)
        path.parent.chmod(0o555)
        with no_rights():
            with open_store(path, reads_only=True) as store:
                assert [found.key for found in store.runs()] == [run.key]
            assert "attempt to write a readonly database" in fault_of(path)
        assert path.read_bytes() == before
        path.parent.chmod(0o755)


def test_a_store_opened_for_reading_cannot_be_written(path, run):
    with open_store(path) as store:
        store.add("s", [], run)
    with pytest.raises(InputFaults, match="readonly"), open_store(path, reads_only=True) as store:
        store.add("s", [], replace(run, key="b"))
    assert whole(path) == [run.key]


def test_a_full_disk_ends_in_words_and_leaves_what_was_stored(path, run):
    """The disk is full where no file may grow beyond a limit."""
    with open_store(path) as store:
        store.add("s", [], run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputFaults, match="what stands in it is whole"), open_store(path) as store:
            add_many(store, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = whole(path)
    assert run.key in kept
    assert kept[:-1] == [f"{n:032}" for n in range(len(kept) - 1)]  # and every one that was added before the end


def test_a_full_database_leaves_what_was_stored(path, run):
    with open_store(path) as store:
        store.add("s", [], run)
        store._connection.execute("PRAGMA max_page_count = 30")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            add_many(store, run)
        assert store.has_run(run.key)
    assert run.key in whole(path)


def add_many(store, run):
    for n in range(1000):
        store.add("s", [], replace(run, key=f"{n:032}"))


def whole(path):
    """The keys in a store that SQLite itself finds nothing wrong with."""
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        keys = [key for (key,) in connection.execute("SELECT key FROM runs ORDER BY key")]
    connection.close()
    return keys
