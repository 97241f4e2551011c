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


def test_a_link_keeps_pointing_where_it_pointed(tmp_path):
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    with replacing(tmp_path / "link.html") as file:
        file.write("new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"


def test_a_device_is_written_and_never_replaced(tmp_path):
    """Through a link, so that nothing but the link is at risk."""
    (tmp_path / "nowhere").symlink_to("/dev/null")
    with replacing(tmp_path / "nowhere") as file:
        file.write("anything")
    assert (tmp_path / "nowhere").is_char_device()
