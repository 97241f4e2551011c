"""The code blocks of the README and of the pages of `docs` named here run as they stand, in an empty directory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md", "docs/layers.md", "docs/schedules.md", "docs/traffic.md", "docs/sweeps.md",
    "docs/planning.md", "docs/training_laws.md",
)  # fmt: skip
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"^```(sh|python)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.S | re.M)
]


@pytest.mark.parametrize(("language", "code"), BLOCKS, ids=[f"block{i}" for i in range(len(BLOCKS))])
def test_a_block_of_the_readme_runs(language, code, tmp_path):
    if "import torch" in code or "longsim study" in code:
        pytest.importorskip("torch", reason="the layers need torch")
    scripts = tmp_path / "bin"
    scripts.mkdir()
    launcher = scripts / "longsim"
    launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -m longsim "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = ["sh", "-e", "-c", code] if language == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_blocks_to_run():
    assert {language for language, _ in BLOCKS} == {"sh", "python"}
