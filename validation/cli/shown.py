"""The documents of the suites as tables on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from simulator.console import out


def show_rows(document: Mapping[str, Any]) -> None:
    """Print figures one by one: predicted beside the reference, with error and verdict."""
    table = Table("id")
    for name in ("predicted", "reference"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("unit", "error", "verdict", "what"):
        table.add_column(name, justify="right" if name == "error" else "left", no_wrap=name != "what")
    for row in document["rows"]:
        table.add_row(
            row["id"], f"{row['predicted']:.6g}", f"{row['reference']:.6g}", row["unit"], f"{row['rel_error']:+.2%}",
            _verdict(row), row["what"],
        )  # fmt: skip
    out.print(table)
    for note in document["notes"]:
        out.print(f"{note['id']}: {note['text']}", markup=False)
    for item in document["skipped"]:
        out.print(f"skipped: {item['id']}: {item['reason']}", markup=False)
    summary = document["summary"]
    out.print(f"{summary['n_ok']} of {summary['n']} rows within their bar", markup=False)
    if "median" in summary:
        median, bias = percent(summary["median"]), percent(summary["bias"], sign="+")
        out.print(f"median error {median}, signed {bias}; fitted rows left out", markup=False)


def _verdict(row: Mapping[str, Any]) -> str:
    if row["ok"] is None:
        return "fitted" if row.get("fitted") else "not judged"
    bar = f"{row['tolerance']:g}" if "tolerance" in row else "{:g} to {:g}".format(*row["bar"])
    return "ok" if row["ok"] else f"[red]missed {bar}[/red]"


def show_serving(document: Mapping[str, Any]) -> None:
    """Print every statistic of every recorded run, the peer's error beside, every figure of published clusters, then
    what they rest on."""
    recorded, clusters = Table("statistic"), Table("figure")
    for name in ("replayed s", "recorded s", "error", "bar", "peer's"):
        recorded.add_column(name, justify="right", no_wrap=True)
    for name in ("predicted", "published", "unit", "error", "bar"):
        clusters.add_column(name, justify="right", no_wrap=True)
    recorded.add_column("verdict")
    clusters.add_column("verdict")
    clusters.add_column("what")
    for row in document["rows"]:
        figures = [row["id"], f"{row['predicted']:.4g}", f"{row['reference']:.4g}"]
        error, bar = f"{row['rel_error']:+.2%}", percent(row["tolerance"])
        if "peer_error" in row:
            recorded.add_row(*figures, error, bar, percent(row["peer_error"], sign="+"), _met(row))
        else:
            clusters.add_row(*figures, row["unit"], error, bar, _met(row), row["what"])
    for table in (recorded, clusters):
        if table.row_count:
            out.print(table)
    for note in document["notes"]:
        out.print(note["text"], markup=False)
    for item in document["skipped"]:
        out.print(f"{item['id']}: {item['reason']}", markup=False)
    out.print("{n_ok} of {n} judged figures within their bar".format(**document["summary"]), markup=False)


def _met(row: Mapping[str, Any]) -> str:
    if row["ok"] is None:
        return "fitted" if row.get("fitted") else "not judged"
    return "ok" if row["ok"] else "[red]missed[/red]"


def show_kernels(document: Mapping[str, Any]) -> None:
    """Print one line per group of every table, then the worst rows, what was skipped, and the sum."""
    table = Table("table")
    table.add_column("group", overflow="fold")
    table.add_column("rows")
    for name in ("n", "median", "p90", "bias", "interpolation", "extrapolated", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in document["tables"]:
        errors = [percent(row[name]) for name in ("median", "p90")]
        table.add_row(
            row["table"], row["group"], row["split"] or "all", str(row["n"]), *errors, percent(row["bias"], sign="+"),
            percent(row["baseline_median"]), str(row["extrapolated"]), str(row["refused"]), _bar_text(row),
        )  # fmt: skip
    out.print(table)
    for row in document["worst"][:5]:
        out.print(f"worst: {row['table']} {row['group']} {row['shape']}: {row['error']:+.0%}", markup=False)
    for item in document["skipped"]:
        rows = f", {item['n']} rows" if "n" in item else ""
        out.print(f"skipped: {item['file']}{rows}: {item['reason']}", markup=False)
    for note in document["notes"]:
        out.print(f"{note['file']}: {note['text']}", markup=False)
    summary = document["summary"]
    out.print(
        f"{summary['n']} rows: median error {percent(summary['median'])}, bias {percent(summary['bias'], sign='+')}; "
        f"{summary['refused']} refused as faulty, {summary['extrapolated']} extrapolated; "
        f"{summary['n_ok']} of {summary['n_bars']} bars met", markup=False,
    )  # fmt: skip


TYPED = "DeepEP"  # rows that are shown one by one; of measured tables the groups alone


def show_collectives(document: Mapping[str, Any]) -> None:
    """Print the typed tables row by row, then one line per group with its verdict, the worst rows and the sum."""
    rows, groups = Table("rows"), Table("group")
    for name in ("what", "predicted", "measured", "unit", "error", "use", "range"):
        rows.add_column(name, no_wrap=True)
    for row in document["rows"]:
        if row["group"].startswith(TYPED):
            rows.add_row(
                row["group"], row["what"], f"{row['predicted']:.4g}", f"{row['measured']:.4g}", row["unit"],
                percent(row["error"], sign="+"), row["use"], _in_range(row),
            )  # fmt: skip
    for name in ("range", "n", "fitted", "median", "p90", "bias", "verdict"):
        groups.add_column(name, no_wrap=name != "verdict")
    for row in document["groups"]:
        groups.add_row(
            row["group"], _in_range(row), str(row["n"]), str(row["n_fitted"]), percent(row["median"]),
            percent(row["p90"]), percent(row["bias"], sign="+"), _group_verdict(row),
        )  # fmt: skip
    out.print(rows)
    out.print(groups)
    for row in sorted(document["rows"], key=lambda row: -abs(row["error"]))[:5]:
        out.print(f"worst: {row['group']}: {row['what']}: {row['error']:+.0%}", markup=False)
    for note in [*document["notes"], *document["skipped"]]:
        text = note.get("text") or f"skipped: {note['reason']}"
        out.print(f"{note['id']}: {text}", markup=False)
    out.print("{n_ok} of {n} bars met; fitted rows are in no median".format(**document["summary"]), markup=False)


def _in_range(row: Mapping[str, Any]) -> str:
    return "in" if row["in_range"] else "out"


def _group_verdict(row: Mapping[str, Any]) -> str:
    if row["ok"] is None:
        return "not judged"
    return f"ok ({percent(row['bar'])})" if row["ok"] else f"[red]missed {percent(row['bar'])}[/red]"


def show_layers(document: Mapping[str, Any]) -> None:
    """Print every layer with its error, then the overlaps, then the verdicts."""
    layers, overlaps = Table("layer"), Table("overlap")
    for name in ("measured ms", "predicted ms", "error", "own noise"):
        layers.add_column(name, justify="right", no_wrap=True)
    for row in document["rows"]:
        layers.add_row(
            layer_words(row), f"{row['measured_s'] * 1e3:.3f}", f"{row['predicted_s'] * 1e3:.3f}",
            percent(row["error"], sign="+"), percent(row["spread"]),
        )  # fmt: skip
    out.print(layers)
    for name in ("measured of in turn", "predicted", "difference", "order"):
        overlaps.add_column(name, justify="right", no_wrap=True)
    for row in document["overlaps"]:
        verdict = {None: "alike", True: "right", False: "[red]wrong[/red]"}[row["order_ok"]]
        overlaps.add_row(layer_words(row), f"{row['measured']:.3f}", f"{row['predicted']:.3f}",
                         f"{row['ratio_error']:+.3f}", verdict)  # fmt: skip
    if document["overlaps"]:
        out.print(overlaps)
    _show_kinds(document.get("kinds", ()))
    for verdict in document["verdicts"]:
        word = "ok" if verdict["ok"] else "[red]missed[/red]"
        out.print(f"{verdict['name']}: {verdict['reached']:.3g} (bar {verdict['bar']:g}): {word}")
    summary = document["summary"]
    out.print(
        f"{summary['n']} layers: median error {percent(summary['median'])}, bias {percent(summary['bias'], sign='+')}, "
        f"worst {percent(summary['worst'])}; their own spread from repeat to repeat: {percent(summary['noise'])}",
        markup=False,
    )
    for note in document["notes"]:
        out.print(note, markup=False)


def _show_kinds(kinds: Sequence[Mapping[str, Any]]) -> None:
    if not kinds:
        return
    table = Table("kind of op")
    for name in ("recorded ms", "predicted ms", "error"):
        table.add_column(name, justify="right")
    for row in kinds:
        table.add_row(row["kind"], f"{row['measured_s'] * 1e3:.3f}", f"{row['predicted_s'] * 1e3:.3f}",
                      percent(row["error"], sign="+"))  # fmt: skip
    out.print(table)


def show_live(document: Mapping[str, Any]) -> None:
    """Print the layers as `show_layers` does, then what this machine could not show."""
    show_layers(document)
    between = f"over links of {document['link']}" if document["link"] else "over the loopback device"
    out.print(f"{document['device']}, {document['n_ranks']} ranks {between}", markup=False)
    for name, kept in document["pace_kept"].items():
        out.print(f"{name.partition('|')[0]} keeps {kept:.0%} of its pace", markup=False)
    out.print("not exercised here:")
    for mechanism in document["not_exercised"]:
        out.print(f"  - {mechanism}", markup=False)


def layer_words(row: Mapping[str, Any]) -> str:
    """Return the batch and order of a whole-layer row in words."""
    batch = f"prompt of {row['new']}" if row["new"] == row["context"] else f"{row['batch']} x context {row['context']}"
    zero = "without zero experts" if row["zero"] == "none" else "zero experts skipped"
    ranks = "1 rank" if row["ranks"] == 1 else f"{row['ranks']} ranks"
    return f"{batch}, {ranks}, {zero}, {row['order']}"


def _bar_text(row: Mapping[str, Any]) -> str:
    if row["ok"] is None:
        return ""
    limits = " · ".join(percent(limit) for limit in row["bar"].values() if limit is not None)
    return f"ok ({limits})" if row["ok"] else f"[red]missed {limits}[/red]"


def percent(share: float | None, *, sign: str = "") -> str:
    """Return a fraction as a percentage, a dash where there is none."""
    return "–" if share is None else f"{share:{sign}.1%}"
