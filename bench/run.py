"""`make bench`: run every benchmark, print a table beside the bars, write bench.json ({name: number})."""

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

MODULES = ("engine", "process", "curves", "traces", "cluster", "compare", "sweep", "serving", "planning")
WITH_TORCH = ("layers",)
BARS = {
    "engine_uncontended_vs_simpy": (">=", 0.75),
    "engine_contended_vs_simpy": (">=", 0.30),
    "run_process_vs_imports": ("<=", 1.8),
    "run_peak_mb": ("<=", 300.0),
    "compare_100_layouts_s": ("<=", 15.0),  # on two processors
    "sweep.store_share": ("<=", 0.05),
    "sweep.peak_growth": ("<=", 1.1),
    "layers.grouped_over_dense_even": (">=", 0.6),
    "curves.gemm_cold_per_s": (">=", 20_000.0),
    "curves.gemm_memoised_per_s": (">=", 100_000.0),
    "curves.gemm_vectorised_points_per_s": (">=", 1_000_000.0),
    "curves.load_profile_ms": ("<=", 30.0),
    "cluster.unequal_128_ranks_s": ("<=", 1.0),
    "cluster.growth_exponent": ("<=", 1.0),
    "cluster.ep1024_s": ("<=", 10.0),
    "cluster.ep1024_peak_mb": ("<=", 1500.0),
    "serving.dense_10k_s": ("<=", 2.6),
    "serving.dense_10k_peak_mb": ("<=", 168.0),
    "serving.iterations_per_s": (">=", 500_000.0),
    "serving.iterations_with_drafts_per_s": (">=", 100_000.0),
    "serving.longcat_100k_s": ("<=", 30.0),
    "serving.longcat_100k_peak_mb": ("<=", 600.0),
    "serving.longcat_growth": ("<=", 2.2),
    "planning.bounded_per_s": (">=", 300.0),
    "planning.simulated_per_s": (">=", 50.0),
    "planning.deepseek_32_h200_s": ("<=", 10.0),
    "planning.longcat_256_h800_s": ("<=", 30.0),
    "serving.split_10k_s": ("<=", 8.0),
    "serving.split_10k_peak_mb": ("<=", 600.0),
    "traces.read_million_events_s": ("<=", 10.0),
    "traces.read_million_events_peak_mb": ("<=", 1000.0),
}


def main() -> None:
    """Measure, print, write."""
    figures: dict[str, float] = {}
    for module in (*MODULES, *(WITH_TORCH if find_spec("torch") else ())):
        figures |= import_module(module).measure()
    for name, value in figures.items():
        sign, bar = BARS.get(name, ("", 0.0))
        met = (value >= bar) if sign == ">=" else (value <= bar)
        verdict = f"  {sign} {bar:g}  {'ok' if met else 'MISSED'}" if sign else ""
        print(f"{name:36s} {value:14.4g}{verdict}")
    Path("bench.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
