"""Traces written by hand."""

import gzip
import json

import pytest


@pytest.fixture
def trace_file(tmp_path):
    """Write events as a trace; with a name that ends in .gz, packed."""

    def write(events, name="trace.json", **header):
        path = tmp_path / name
        text = json.dumps({"schemaVersion": 1, **header, "traceEvents": events, "displayTimeUnit": "ms"}).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


@pytest.fixture
def scenario_file(tmp_path):
    """A scenario that a laptop answers at once."""

    def write(text='model = "tiny"\nmachine = "h800_sxm"\nn_gpus = 8\nlayout = { ep = 8 }\n'):
        path = tmp_path / "small.toml"
        path.write_text(text)
        return path

    return write
