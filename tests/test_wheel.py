"""What a user gets: a wheel with all data files and no tests."""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("simulator", "hw_profiles", "workloads", "validation")
DATA = ("*.toml", "*.json", "*.csv", "*.css", "*.js", "*.npz", "py.typed")


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Names in the wheel, built from a copy: a build leaves files beside its source."""
    source, wheels = tmp_path_factory.mktemp("source") / "longsim", tmp_path_factory.mktemp("wheels")
    for folder in (*PACKAGES, "tests"):
        copytree(ROOT / folder, source / folder, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "longsim.py"):
        copy(ROOT / name, source)
    (source / "README.md").touch()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
    built = subprocess.run(
        [*command, "--outdir", str(wheels), str(source)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        return wheel.namelist()


def test_every_module_and_data_file_is_in(content):
    patterns = ("*.py", *DATA)
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES for pattern in patterns for path in (ROOT / package).rglob(pattern)
    }  # fmt: skip
    assert expected - set(content) == set()
    assert "longsim.py" in content


@pytest.mark.parametrize("name", [
    "simulator/scenarios/longcat-flash-decode-h800x128.toml", "hw_profiles/data/h800_sxm/profile.toml",
    "validation/published/longcat_report.toml", "simulator/report/page.css", "simulator/report/page.js",
    "simulator/py.typed", "workloads/py.typed", "hw_profiles/py.typed", "validation/py.typed",
])  # fmt: skip
def test_files_that_commands_read_are_in(content, name):
    assert name in content


def test_the_licence_and_the_command_are_in(content):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in content)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in content)


def test_nothing_else_is_in(content):
    tops = {name.split("/")[0] for name in content}
    assert {top for top in tops if not top.endswith(".dist-info")} == {*PACKAGES, "longsim.py"}
    assert not any("test" in Path(name).name for name in content)
