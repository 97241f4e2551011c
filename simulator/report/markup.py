"""Pieces of HTML. Every text that comes from outside is escaped here and nowhere else."""

from collections.abc import Iterable, Mapping
from html import escape

import pandas as pd
import plotly.graph_objects as go


def paragraph(text: str, css_class: str = "") -> str:
    """`text` as a paragraph."""
    return f"<p{_class(css_class)}>{escape(text)}</p>"


def bullets(texts: Iterable[str], css_class: str = "") -> str:
    """`texts` as a list, nothing at all where there are none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul{_class(css_class)}>{items}</ul>" if items else ""


def section(title: str, *parts: str, anchor: str = "", level: int = 2) -> str:
    """`parts` (HTML) under a heading; nothing where all parts are empty."""
    body = "".join(parts)
    identity = f' id="{escape(anchor)}"' if anchor else ""
    return f"<section{identity}><h{level}>{escape(title)}</h{level}>{body}</section>" if body else ""


def table(rows: pd.DataFrame, headings: Mapping[str, str], *, numeric: Iterable[str] = (), css_class: str = "") -> str:
    """The columns of `rows` named in `headings` (column to heading), in that order; `numeric` ones align right.
    `css_class`: of the frame around it, beside "table"."""
    if rows.empty:
        return ""
    right = set(numeric)
    styles = [' class="number"' if column in right else "" for column in headings]
    head = "".join(f"<th{style}>{escape(text)}</th>" for text, style in zip(headings.values(), styles, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{style}>{escape(str(cell))}</td>" for cell, style in zip(row, styles, strict=True))
        + "</tr>"
        for row in rows[list(headings)].itertuples(index=False)
    )
    frame = _class(f"table {css_class}".rstrip())
    return f"<div{frame}><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """Key figures, (label, text) each, as a row of tiles."""
    items = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in figures)
    return f'<dl class="tiles">{items}</dl>' if items else ""


def plot(drawn: go.Figure, *, caption: str, tools: bool = False) -> str:
    """`drawn` as data in the page, which page.js draws where it stands; `tools`: with buttons to zoom and to save."""
    data = str(drawn.to_json()).replace("<", "\\u003c")  # no text inside may end the script element
    marks = 'class="plot" data-tools' if tools else 'class="plot"'
    return (
        f'<figure><div {marks} style="min-height:{int(drawn.layout.height)}px"></div>'
        f'<script type="application/json">{data}</script><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _class(css_class: str) -> str:
    return f' class="{escape(css_class)}"' if css_class else ""
