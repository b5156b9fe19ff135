"""Render the leaderboard as one HTML file that needs nothing else.

The table is drawn by `page.js` from data in the page, the part that is looked at and no more, so that a thousand rows
open at once; names reach it as JSON and the document as text nodes, never as markup. The plots are drawn by plotly.js
from its Python package, which stands compressed in the page and is unpacked when a plot comes into view.
"""

import base64
import gzip
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report import claimed, costs, coverage, logged, measures, pagedata, predicting, printed, words
from bench.report.content import Content, Study
from pretrain.core.counts import counted
from transfer.board.columns import Protocol
from transfer.board.entries import Entry
from transfer.board.planned import STATES

HERE = Path(__file__).parent
TEMPLATE = "page.html.j2"
SCRIPTS = ("copying.js", "page.js", "details.js", "plots.js", "curves.js", "logged.js", "live.js")
STYLE = "page.css"


def render(content: Content, out: Path) -> str:
    """Write the page; its links to the runs are relative to `out`."""
    return write(content, [link(entry, out) for entry in content.board.entries])


def write(content: Content, links: Sequence[str], live: str = "") -> str:
    """Write the page.

    Args:
        content: What it shows.
        links: Of every run, the address of its folder.
        live: Of a page that a server makes anew, which version it is: it asks for a newer one by itself.
    """
    board = content.board
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    curves = [logged.curves(entry.path.parent) for entry in board.entries]
    data = pagedata.build(content, links, curves, live)
    claims = claimed.lines(content)
    plots = bool(data["pairs"] or data["pareto"] or data["sweeps"])
    return environment.get_template(TEMPLATE).render(
        live=live,
        title=words.TITLE if content.study is None else f"{words.TITLE} of the study {content.study.name}",
        notice=words.GENERATED_NOTICE if board.generated else "",
        summary=_summary(content),
        marks=" ".join(words.MARKS),
        how_to_read=words.HOW_TO_READ,
        **_coverage(content.study),
        question=predicting.QUESTION,
        sentence=predicting.sentence(content),
        pair_headings=predicting.HEADINGS,
        pairs=predicting.lines(content),
        scatter=bool(data["pairs"]),
        claims_title=claimed.TITLE,
        claims_read=claimed.read(content),
        claims=claims,
        claims_sum=claimed.summed(claims),
        sections=_sections(content),
        cost_title=costs.TITLE,
        cost_headings=costs.HEADINGS,
        costs=costs.lines(content),
        protocol_cost_headings=costs.PROTOCOL_HEADINGS,
        protocol_costs=costs.protocol_lines(content),
        protocols=[_protocol(protocol) for protocol in board.protocols],
        problems=[words.lines(problem.message) for problem in content.problems],
        style=Markup((HERE / STYLE).read_text(encoding="utf-8")),
        script=Markup("\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        board=data,
        data=Markup(pagedata.embed(data)),
        plots=plots,
        logged=Markup(logged.pack(curves)),
        plotly=Markup(plotly()) if plots else "",
    )


def _sections(content: Content) -> list[tuple[str, str, str, Sequence[measures.Table]]]:
    """List the sections of tables: name, title, how to read it, tables."""
    return [
        ("features", measures.FEATURES, measures.FEATURES_READ, measures.features(content)),
        ("probes", measures.PROBES, measures.PROBES_READ, measures.matrices(content)),
        ("sweeps", measures.SWEEPS, measures.SWEEPS_READ, measures.sweeps(content)),
        ("published", printed.TITLE, printed.READ, printed.tables(content)),
    ]


def _coverage(study: Study | None) -> dict[str, Any]:
    """Say what the study planned; nothing without one."""
    if study is None:
        return {"study": ""}
    return {
        "study": coverage.summary(study),
        "legend": coverage.LEGEND,
        "coverage_title": coverage.TITLE,
        "coverage_read": coverage.READ,
        "coverage_headings": coverage.HEADINGS,
        "coverage": coverage.lines(study),
        "shares": [(state.replace(" ", "-"), study.total[state]) for state in STATES if study.total[state]],
        "troubles": coverage.troubles(study),
        "strangers": coverage.strangers(study),
    }


def link(entry: Entry, out: Path) -> str:
    """Write a run's folder as a relative address that no name can turn into anything else."""
    return quote(os.fsencode(os.path.relpath(entry.path.parent, out).replace(os.sep, "/"))) + "/"


def plotly() -> str:
    """Return plotly.js, compressed and in base 64."""
    text = files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(text, compresslevel=6, mtime=0)).decode()


def _summary(content: Content) -> str:
    """Say how much there is, in one line."""
    board = content.board
    counts: Sequence[tuple[int, str]] = (
        (len(board.rows), "pre-training"),
        (len(board.entries), "run"),
        (len(board.protocols), "protocol"),
        (len(content.published), "published row"),
    )
    return " · ".join(counted(count, name) for count, name in counts if count)


def _protocol(protocol: Protocol) -> dict[str, Any]:
    star = words.starred(protocol)
    return {"heading": words.heading(protocol), "id": protocol.id, "star": star, "about": words.about(protocol)}
