"""How each kind of op looks: its name, its colour and whether it is communication.

Compute is blue, green or grey; communication is red, orange or yellow. The hues are those of Okabe and Ito,
"Color Universal Design" (2008), which people with every common colour vision can tell apart.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KindStyle:
    """`label`: name for people, `colour`: CSS colour, `communicates`: moves bytes between devices."""

    label: str
    colour: str
    communicates: bool


def _compute(label: str, colour: str) -> KindStyle:
    return KindStyle(label=label, colour=colour, communicates=False)


def _communication(label: str, colour: str) -> KindStyle:
    return KindStyle(label=label, colour=colour, communicates=True)


KIND_STYLES: Mapping[str, KindStyle] = {
    "embedding": _compute("embedding", "#7A8C99"),
    "norm": _compute("norm", "#A9B4BC"),
    "attention": _compute("attention", "#0072B2"),
    "indexer": _compute("indexer", "#5AA0D0"),
    "attention_tp": _communication("attention collectives", "#F0C808"),
    "dense_ffn": _compute("dense FFN", "#56B4E9"),
    "dense_tp": _communication("dense FFN collectives", "#B8860B"),
    "router": _compute("router", "#3B4A8C"),
    "dispatch": _communication("dispatch", "#D55E00"),
    "experts": _compute("experts", "#009E73"),
    "shared_experts": _compute("shared experts", "#7FD1B5"),
    "combine": _communication("combine", "#F2A33A"),
    "residual": _compute("residual", "#C9D1D6"),
    "lm_head": _compute("LM head", "#1F5F7A"),
    "mtp": _compute("MTP draft", "#8FA8DC"),
    "sampling": _compute("sampling", "#5C6770"),
    "p2p": _communication("point to point", "#A23B2A"),
    "collective": _communication("other collectives", "#E8838C"),
}
_SPARE_COLOURS = ("#6A8CAF", "#4C9A8A", "#8A9BA8", "#2F7F95", "#93B7A0", "#6D7FB3")


def style_of(kind: str) -> KindStyle:
    """The style of `kind`; an unknown kind gets a spare colour, the same in every report."""
    if kind in KIND_STYLES:
        return KIND_STYLES[kind]
    return _compute(kind.replace("_", " "), _SPARE_COLOURS[zlib.crc32(kind.encode()) % len(_SPARE_COLOURS)])


def in_order(kinds: Iterable[str]) -> list[str]:
    """The distinct `kinds` as figures and tables list them: compute, then communication, each as a layer runs."""
    known = {kind: position for position, kind in enumerate(KIND_STYLES)}
    return sorted(set(kinds), key=lambda kind: (style_of(kind).communicates, known.get(kind, len(known)), kind))


SOURCE_COLOURS: Mapping[str, str] = {
    "measured": "#00573F",
    "fitted": "#009E73",
    "published": "#56B4E9",
    "datasheet": "#E69F00",
    "assumed": "#C7522A",
}
"""From the surest to the least sure."""


def sources_in_order(sources: Iterable[str]) -> list[str]:
    """The distinct `sources`, the surest first, unknown ones last."""
    known = {source: position for position, source in enumerate(SOURCE_COLOURS)}
    return sorted(set(sources), key=lambda source: (known.get(source, len(known)), source))
