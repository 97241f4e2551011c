"""Bring the numbers of docs/training_laws.md up to date: `make studies`, or

    python docs/regenerate_training_laws.py [FOLDER]

FOLDER holds the studies' folders, as `longsim study NAME --out FOLDER/NAME` leaves them: their results are copied to
docs/studies, their routing traces to workloads/traces. Without FOLDER only the page is written anew from docs/studies.
"""

import re
import sys
from pathlib import Path
from shutil import copyfile

import pandas as pd

from validation.studies.cluster import cluster_table

ROOT = Path(__file__).parent.parent
PAGE, TABLES, TRACES = ROOT / "docs/training_laws.md", ROOT / "docs/studies", ROOT / "workloads/traces"
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
_STATISTIC = {"late": "", "first": " at the start", "last": " at the end", "wander": ", wander"}


def refreshed(page: str, folder: Path) -> str:
    """Return `page` with every block between `<!-- table: NAME -->` and `<!-- end -->` made from `folder`/NAME.csv."""
    return _BLOCK.sub(lambda block: block[1] + markdown(folder / f"{block[2]}.csv") + block[3], page)


def markdown(path: Path) -> str:
    """Return a study's results, or any other table, in Markdown: the longer of arms and measures as rows."""
    table = pd.read_csv(path, keep_default_na=False)
    if "arm" not in table:
        return _lines([list(table.columns), *table.to_numpy().tolist()])
    table["measure"] = [_measure(row) for row in table.to_dict("records")]
    table["cell"] = [_cell(row) for row in table.to_dict("records")]
    arms, measures = list(dict.fromkeys(table["arm"])), list(dict.fromkeys(table["measure"]))
    cells = {(arm, name): cell for arm, name, cell in zip(table["arm"], table["measure"], table["cell"], strict=True)}
    if len(arms) > len(measures):
        return _lines([["", *measures], *([arm, *(cells.get((arm, m), "–") for m in measures)] for arm in arms)])
    return _lines([["", *arms], *([m, *(cells.get((arm, m), "–") for arm in arms)] for m in measures)])


def _measure(row: dict[str, object]) -> str:
    of, layer = (
        f" ({row['of']})" if row["of"] else "",
        f", layer {row['layer']}" if int(str(row["layer"])) >= 0 else "",
    )
    return f"{row['quantity']}{of}{layer}{_STATISTIC[str(row['statistic'])]}"


def _cell(row: dict[str, object]) -> str:
    mean, low, high = (f"{float(str(row[name])):.4g}" for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _lines(rows: list[list[object]]) -> str:
    head, *body = ("| " + " | ".join(map(str, row)) + " |" for row in rows)
    rule = "|" + "---|" * len(rows[0])
    return "\n".join([head, rule, *body]) + "\n"


def cluster_rows() -> pd.DataFrame:
    """Return the cluster table as it stands in docs/studies/cluster.csv: figures to four digits, times in ms."""
    table = cluster_table()
    for name in ("step_s", "law_step_s"):
        table.insert(table.columns.get_loc(name), name.removesuffix("_s") + "_ms", 1e3 * table.pop(name))
    numbers = table.select_dtypes("float").columns
    table[numbers] = table[numbers].map(lambda value: "" if pd.isna(value) else f"{value:.4g}")
    return table.fillna("")


def main(folders: list[str]) -> None:
    """Copy what the studies left, compute the cluster table, write the page."""
    for folder in folders:
        for results in sorted(Path(folder).glob("*/results.csv")):
            copyfile(results, TABLES / f"{results.parent.name}.csv")
        for trace in sorted(Path(folder).glob("*/traces/*.npz")):
            copyfile(trace, TRACES / trace.name)
    cluster_rows().to_csv(TABLES / "cluster.csv", index=False)
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8"), TABLES), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
