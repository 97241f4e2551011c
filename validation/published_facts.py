"""The typed facts of `validation/published`, by name."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parent / "published"


def published_facts(name: str) -> Mapping[str, Any]:
    """Return the typed facts of `validation/published/NAME.toml`."""
    return tomllib.loads((PUBLISHED / f"{name}.toml").read_text(encoding="utf-8"))
