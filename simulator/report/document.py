"""One HTML file that needs nothing else, not even a network: head, style, scripts around a body."""

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path

from plotly.offline import get_plotlyjs

from simulator.report.markup import paragraph
from simulator.report.replacing import replacing

# The browser itself refuses every address outside the file; plotly draws with inline styles and saves images as data.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_FOOTER = "Written by longsim. Times in SI units, GB is 1e9 bytes. This file loads nothing from elsewhere."


def write_document(path: str | Path, *, title: str, parts: Iterable[str]) -> None:
    """Write `parts` (HTML) under `title` to `path`, whole or not at all; OSError where it cannot be written."""
    body = "".join(parts)
    with replacing(path) as file:
        file.write(_head(title))
        file.write(f"<main>\n<header><h1>{escape(title)}</h1></header>\n{body}")
        file.write(f"<footer>{paragraph(_FOOTER)}</footer>\n</main>\n")
        file.write(f"<script>{get_plotlyjs()}</script>\n<script>{_resource('page.js')}</script>\n</body>\n</html>\n")


def _resource(name: str) -> str:
    return files("simulator.report").joinpath(name).read_text(encoding="utf-8")


def _head(title: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{_resource("page.css")}</style>\n'
        "</head>\n<body>\n"
    )
