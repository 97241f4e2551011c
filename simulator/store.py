"""A store of runs: one SQLite file, a row per run, which many processes may read and write at once.

Every result is committed before the next is taken (write-ahead log): whatever ends a process loses nothing that was
there. Only an outage of the whole machine can take the last few commits, and leaves the rest whole.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hw_profiles.faults import Fault, InputFaults
from simulator.stored_run import StoredRun

VERSION = 1
_APPLICATION = 0x4C6F6E67  # "Long", in the header of the file
_PATIENCE_S = 30.0  # for another process that writes
_SCHEMA = (
    """CREATE TABLE runs (
        key TEXT PRIMARY KEY, kind TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, feasible INTEGER NOT NULL,
        reason TEXT NOT NULL, scenario TEXT NOT NULL, metrics TEXT NOT NULL, details TEXT NOT NULL)""",
    """CREATE TABLE sweeps (sweep TEXT PRIMARY KEY, title TEXT NOT NULL, n INTEGER NOT NULL)""",
    """CREATE TABLE members (
        sweep TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, chosen TEXT NOT NULL, key TEXT,
        reason TEXT NOT NULL, PRIMARY KEY (sweep, position)) WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
_COLUMNS = "key, kind, code, name, feasible, reason, scenario, metrics, details"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One combination of a sweep, by its position: what it chooses, and the key of its run, or the reason why there is
    none."""

    position: int
    name: str
    chosen: Mapping[str, str]
    key: str | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a run must be to be listed: its `column` (or the value at a `path` of keys of that table) equals `value`."""

    column: str
    path: Sequence[str]
    value: Any


@contextmanager
def open_store(path: Path, *, reads_only: bool = False) -> "Iterator[Store]":
    """Open the store at `path`, for writing make it where none is; close it at the end.

    InputFaults where the file is no store, is one of another version, or cannot be read or written, now or later: what
    stood in it stays.
    """
    with _in_words(path):
        if reads_only and not path.is_file():
            raise InputFaults([_fault(f"{str(path)!r}, where no file is", "a file that longsim sweep --store wrote",
                                      "check the path")])  # fmt: skip
        connection = _connect(path, reads_only=reads_only)
        try:
            _check(connection, path, makes=not reads_only)
            yield Store(connection)
        finally:
            connection.close()


class Store:
    """An open store; every method may raise sqlite3.Error, which `open_store` puts into words."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def has_run(self, key: str) -> bool:
        """Whether a run of that key is there."""
        return bool(self._connection.execute("SELECT 1 FROM runs WHERE key = ?", (key,)).fetchone())

    def has_sweep(self, sweep: str) -> bool:
        """Whether a sweep of that name has begun."""
        return bool(self._connection.execute("SELECT 1 FROM sweeps WHERE sweep = ?", (sweep,)).fetchone())

    def begin_sweep(self, sweep: str, *, title: str, n: int) -> None:
        """Note that a sweep of `n` combinations begins."""
        self._connection.execute("INSERT OR IGNORE INTO sweeps VALUES (?, ?, ?)", (sweep, title, n))

    def add(self, sweep: str, members: Sequence[Member], run: StoredRun | None = None) -> None:
        """Add members of a sweep and a run, all or nothing; a run that is there stays as it is."""
        with _transaction(self._connection):
            if run is not None:
                texts = [_text(table) for table in (run.scenario, run.metrics, run.details)]
                row = (run.key, run.kind, run.code, run.name, run.feasible, run.reason, *texts)
                self._connection.execute(f"INSERT OR IGNORE INTO runs VALUES ({', '.join('?' * len(row))})", row)
            self._connection.executemany(
                "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?)",
                [(sweep, m.position, m.name, _text(m.chosen), m.key, m.reason) for m in members],
            )

    def sweeps(self) -> list[tuple[str, str, int, int]]:
        """Return every sweep: name, title, combinations, and how many of them have a run or a reason for none."""
        return self._connection.execute(
            "SELECT sweep, title, n, (SELECT count(*) FROM members LEFT JOIN runs USING (key) WHERE"
            " members.sweep = sweeps.sweep AND (runs.key IS NOT NULL OR members.key IS NULL)) FROM sweeps"
            " ORDER BY sweeps.rowid"
        ).fetchall()

    def members(self, sweep: str) -> Iterator[tuple[Member, StoredRun | None]]:
        """Yield the members of a sweep by position, each with its run, None where there is none (yet)."""
        rows = self._connection.execute(
            f"SELECT position, members.name, chosen, members.key, members.reason, {_of_runs(_COLUMNS)} FROM members"
            " LEFT JOIN runs USING (key) WHERE sweep = ? ORDER BY position",
            (sweep,),
        )
        for position, name, chosen, key, reason, *run in rows:
            member = Member(position=position, name=name, chosen=json.loads(chosen), key=key, reason=reason)
            yield member, _run(run) if run[0] is not None else None

    def runs(self, conditions: Sequence[Condition] = (), *, sweep: str = "") -> Iterator[StoredRun]:
        """Yield the runs that meet all conditions (of a sweep), by key."""
        wheres, values = [], []
        for condition in conditions:
            where, bound = _where(condition)
            wheres.append(where)
            values += bound
        if sweep:
            wheres.append("key IN (SELECT key FROM members WHERE sweep = ?)")
            values.append(sweep)
        where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
        for row in self._connection.execute(f"SELECT {_COLUMNS} FROM runs{where} ORDER BY key", values):
            yield _run(row)

    def keys_like(self, start: str) -> list[str]:
        """Return up to ten keys that start so."""
        rows = self._connection.execute("SELECT key FROM runs WHERE substr(key, 1, ?) = ? ORDER BY key LIMIT 10",
                                        (len(start), start))  # fmt: skip
        return [key for (key,) in rows]


def _of_runs(columns: str) -> str:
    return ", ".join(f"runs.{column.strip()}" for column in columns.split(","))


def _text(table: Mapping[str, Any]) -> str:
    return json.dumps(table, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _run(row: Sequence[Any]) -> StoredRun:
    key, kind, code, name, feasible, reason, *texts = row
    scenario, metrics, details = map(json.loads, texts)
    return StoredRun(
        key=key, kind=kind, code=code, name=name, feasible=bool(feasible), reason=reason, scenario=scenario,
        metrics=metrics, details=details,
    )  # fmt: skip


def _where(condition: Condition) -> tuple[str, list[Any]]:
    value = condition.value if isinstance(condition.value, str | int | float) else json.dumps(
        condition.value, separators=(",", ":"))  # fmt: skip
    if not condition.path:
        return f"{condition.column} = ?", [value]
    path = "$" + "".join(f'."{part}"' for part in condition.path)
    return f"json_extract({condition.column}, ?) = ?", [path, value]


def _connect(path: Path, *, reads_only: bool) -> sqlite3.Connection:
    if not reads_only:
        return _open(path, "rwc")
    connection = _open(path, "ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return _open(path, "ro&immutable=1")  # a folder that is read-only has no room for the log's index
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=_PATIENCE_S, isolation_level=None)


def _check(connection: sqlite3.Connection, path: Path, *, makes: bool) -> None:
    """See that this is a store of this version; make one of a file that is empty."""
    application, version = _header(connection)
    n_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (application, n_tables) == (0, 0) and makes:
        _write_ahead(connection)
        with _transaction(connection):
            if _header(connection) == (0, 0):  # no other process was faster
                for statement in _SCHEMA:
                    connection.execute(statement)
        application, version = _header(connection)
    if application != _APPLICATION:
        raise InputFaults([_fault(f"{str(path)!r}, which is no store of runs", "a file that longsim sweep --store "
                                  "wrote, or a new one", "choose another")])  # fmt: skip
    if version != VERSION:
        remedy = "update longsim, or choose another file" if version > VERSION else "choose another file"
        raise InputFaults([_fault(f"{str(path)!r}, a store of version {version}", f"version {VERSION}", remedy)])
    if makes:
        _write_ahead(connection)


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    pragmas = ("application_id", "user_version")
    application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
    return application, version


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; SQLite does not wait for another process here, so this does."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fault(got: str, allowed: str, remedy: str) -> Fault:
    return Fault(field="store", got=got, allowed=allowed, remedy=remedy)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what SQLite refuses into words."""
    try:
        yield
    except sqlite3.Error as error:
        remedy = "what stands in it is whole: free space or mend its permissions, then go on with --resume"
        if "not a database" in str(error):
            remedy = "choose another"
        raise InputFaults(
            [_fault(f"{str(path)!r}, {error}", "a store that can be read and written", remedy)]
        ) from error
