import pytest

from simulator.report.replacing import replacing


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "report.html"
    with replacing(path) as file:
        file.write("µs")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "µs"
    assert list(tmp_path.iterdir()) == [path]


def interrupted_while_writing(path):
    with replacing(path) as file:
        file.write("half a")
        raise KeyboardInterrupt


def test_an_interrupt_keeps_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_while_writing(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_in_its_place_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match="report"), replacing(tmp_path / "report"):
        (tmp_path / "report").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
