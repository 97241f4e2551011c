"""Write tests/golden/<scenario>.json anew for every shipped scenario: `make goldens`, after a change that is meant."""

import json
from pathlib import Path
from typing import Any

from simulator.evaluate import evaluate
from simulator.plain import finite
from simulator.scenario import list_scenarios, load_scenario

FOLDER = Path(__file__).parent
DIGITS = 9


def golden_of(scenario: str) -> Any:
    """Return what is kept of a scenario's answer, numbers to nine significant digits."""
    answer = evaluate(load_scenario(scenario))
    kept = {
        "feasible": answer.feasible,
        "reason": answer.reason,
        "metrics": answer.metrics,
        "memory_bytes": answer.memory_bytes,
        "sequences_that_fit": answer.sequences_that_fit,
        "critical_path_by_source": answer.critical_path_by_source,
        "warnings": answer.warnings,
    }
    return rounded(finite(kept))


def rounded(value: Any) -> Any:
    """Return plain data with every float at nine significant digits; below a femto of anything is rounding: 0."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return 0.0 if abs(value) < 1e-15 else float(f"{value:.{DIGITS}g}")
    return value


def main() -> None:
    """Write every golden, and remove those whose scenario is gone."""
    names = list_scenarios()
    for path in FOLDER.glob("*.json"):
        if path.stem not in names:
            path.unlink()
    for name in names:
        text = json.dumps(golden_of(name), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
