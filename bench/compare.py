"""`longsim compare` over a hundred layouts of LongCat-Flash on 128 H800s, as a whole process with its report."""

import sys
import tempfile
from pathlib import Path

from process import wall_s

LAYOUTS = (
    "layout.ep=8,16,32,64,128",
    "schedule=sequential,tbo,tbo_phased,sbo,two_stream",
    "layout.expert_placement=contiguous,eplb",
    "routing.popularity=balanced,power_law:1.01",
)
COMPARE = [sys.executable, "-m", "longsim", "compare", "longcat-flash-decode-h800x128"]


def measure() -> dict[str, float]:
    """Return the seconds that the comparison takes: 40 layouts do not fit, 30 have even ranks, 30 have 128 uneven."""
    vary = [word for layout in LAYOUTS for word in ("--vary", layout)]
    with tempfile.TemporaryDirectory() as folder:
        return {"compare_100_layouts_s": wall_s([*COMPARE, *vary, "--report", str(Path(folder) / "report.html")])}
