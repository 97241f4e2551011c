"""Rows of silicon_moe_e2e.csv: end-to-end latencies of published deployments, by configuration."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hw_profiles.faults import Fault, InputFaults

TABLE = "measured/silicon_moe_e2e.csv"
_CONFIGURATION = ["model_path", "system", "precision", "backend", "backend_version", "mode"]
_LAYOUT = ["tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size"]


@dataclass(frozen=True, kw_only=True)
class SiliconRow:
    """One measured point of an aggregated deployment: `tp`, `dp` of the attention, `moe_tp`, `moe_ep` of the experts;
    `users` at once; mean TTFT and TPOT [s]; `number`: its line in the table."""

    number: int
    configuration: str
    model: str
    system: str
    precision: str
    backend: str
    version: str
    tp: int
    dp: int
    moe_tp: int
    moe_ep: int
    isl: int
    osl: int
    users: int
    ttft_s: float
    tpot_s: float

    @property
    def is_fitted(self) -> bool:
        """Whether overheads are fitted on its configuration: a coin tossed by a hash of the configuration's name."""
        return hashlib.sha256(self.configuration.encode()).digest()[0] % 2 == 0

    @property
    def n_gpus(self) -> int:
        """GPUs of the deployment."""
        return self.tp * self.dp

    @property
    def speculation_unknown(self) -> bool:
        """Whether drafts may have been on without a word: TensorRT-LLM serves DeepSeek on TP8 x EP8 with MTP."""
        return self.backend == "trtllm" and "DeepSeek" in self.model and self.tp == self.moe_ep == 8


def read_table(data: Path) -> pd.DataFrame:
    """Return the published table as it is; InputFaults where it is not there."""
    path = data / TABLE
    if not path.is_file():
        raise InputFaults([Fault(field="--data", got=f"{str(data)!r}, without {TABLE}",
                                 allowed="a directory of published tables", remedy="name it with --data")])  # fmt: skip
    return pd.read_csv(path)


def aggregated_rows(table: pd.DataFrame) -> Sequence[SiliconRow]:
    """Return the points of aggregated serving whose concurrency was recorded, in the table's order."""
    rows = table[(table["mode"] == "agg") & table["conc"].notna()]
    return [
        _row(number, {str(name): value for name, value in row.items()})
        for number, row in zip(rows.index, rows.to_dict("records"), strict=True)
    ]


def left_out(table: pd.DataFrame) -> Sequence[tuple[str, str]]:
    """Return what of the table has no row here, with the reason."""
    disaggregated, unknown = table["mode"] != "agg", table["decode_num_workers"].isna()
    return [
        (f"{int((disaggregated & unknown).sum())} disaggregated rows", "numbers of workers not recorded"),
        (f"{int((disaggregated & ~unknown).sum())} disaggregated rows with known workers",
         "drafts not recorded; two pools with a transfer between them are not replayed yet"),
        (f"{int((~disaggregated & table['conc'].isna()).sum())} aggregated rows", "concurrency not recorded"),
    ]  # fmt: skip


def repeat_floor(rows: Sequence[SiliconRow], metric: str) -> tuple[int, float, float]:
    """Return over points measured more than once how many there are, and median and 90 % quantile of their spread
    (largest over smallest − 1) of `ttft_s` or `tpot_s`, exact copies aside."""
    values: dict[tuple[str, int, int, int], set[float]] = {}
    for row in rows:
        values.setdefault((row.configuration, row.isl, row.osl, row.users), set()).add(getattr(row, metric))
    spreads = pd.Series([max(seen) / min(seen) - 1.0 for seen in values.values() if len(seen) > 1], dtype=float)
    return len(spreads), float(spreads.median()), float(spreads.quantile(0.9))


def _row(number: int, cells: dict[str, object]) -> SiliconRow:
    tp, dp, moe_tp, moe_ep = (int(float(str(cells[name]))) for name in _LAYOUT)
    words = [str(cells[name]) for name in _CONFIGURATION]
    return SiliconRow(
        number=number,
        configuration=" ".join([*words, f"tp{tp} dp{dp} moe_tp{moe_tp} ep{moe_ep}"]),
        model=words[0], system=words[1], precision=words[2], backend=words[3], version=words[4],
        tp=tp, dp=dp, moe_tp=moe_tp, moe_ep=moe_ep,
        isl=int(str(cells["isl"])), osl=int(str(cells["osl"])), users=round(float(str(cells["conc"]))),
        ttft_s=float(str(cells["silicon_ttft_ms"])) / 1e3, tpot_s=float(str(cells["silicon_tpot_ms"])) / 1e3,
    )  # fmt: skip
