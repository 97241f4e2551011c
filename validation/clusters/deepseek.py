"""DeepSeek-V3 on H800: the step times of DeepSeek's profile data, the throughputs of its online service."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from validation.clusters.figures import READINGS, Reading, figures_part
from validation.clusters.parts import Part, typed_facts


def deepseek_part(data: Path) -> Part:
    """Return DeepSeek's published figures beside their predictions; they are typed facts, `data` is not needed."""
    del data
    facts = typed_facts("deepseek")
    return replace(figures_part(facts["figures"], readings(facts["cache_hit_share"])), notes=facts["notes"])


def readings(cache_hit_share: float) -> Mapping[str, Reading]:
    """Return the common readings and the tokens that come in per node and second [tokens/s], of which only those in no
    cache are computed."""
    per_node = READINGS["tokens_per_s_per_node"]
    return {**READINGS, "input_tokens_per_s_per_node": lambda metrics: per_node(metrics) / (1.0 - cache_hit_share)}
