"""Small charts as SVG: bars with a spread, and lines over growing sizes.

A chart is plain data, kept with the result it belongs to, so that it can be drawn again without measuring:
``{"kind": "bars", "title": …, "label": …, "bars": [[name, median, low, high], …], "target": 1.01}``, or
``{"kind": "lines", "title": …, "panels": [{"label": …, "x": …, "lines": {name: [[x, y], …]}}, …]}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_OURS, _OTHERS, _TARGET = "#1b7f5c", "#9aa5b1", "#c0392b"


def draw(chart: dict[str, Any], path: Path) -> None:
    """Draw a chart into an SVG file, the same bytes each time for the same data."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "survivor", "font.size": 9, "axes.titlesize": 10})
    figure = {"bars": _bars, "lines": _lines}[chart["kind"]](plt, chart)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    plt.close(figure)


def _bars(plt: Any, chart: dict[str, Any]) -> Any:
    """Horizontal bars, ours in colour; whiskers from the lowest to the highest measurement."""
    names, medians, lows, highs = zip(*chart["bars"], strict=True)
    figure, axes = plt.subplots(figsize=(6.4, 0.6 + 0.34 * len(names)))
    places = range(len(names))
    colours = [_OURS if name.startswith("survivor") else _OTHERS for name in names]
    around = [
        [m - low for m, low in zip(medians, lows, strict=True)],
        [h - m for m, h in zip(medians, highs, strict=True)],
    ]
    axes.barh(places, medians, color=colours, xerr=around, error_kw={"lw": 0.8, "capsize": 2, "ecolor": "#444"})
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    if chart.get("log"):
        axes.set_xscale("log")
    for place, value, high in zip(places, medians, highs, strict=True):
        axes.annotate(f" {value:{chart.get('form', '.3g')}}", (high, place), va="center", fontsize=8)
    if "target" in chart:
        axes.axvline(chart["target"], color=_TARGET, lw=0.9, ls="--")
        axes.annotate("target", (chart["target"], -0.6), color=_TARGET, fontsize=7, ha="center", annotation_clip=False)
    axes.set_xlabel(chart["label"])
    axes.margins(x=0.12)
    axes.set_title(chart["title"], loc="left", pad=12)
    return figure


def _lines(plt: Any, chart: dict[str, Any]) -> Any:
    """Panels side by side, both axes logarithmic."""
    panels = chart["panels"]
    figure, all_axes = plt.subplots(1, len(panels), figsize=(3.1 * len(panels), 2.4), squeeze=False)
    for axes, panel in zip(all_axes[0], panels, strict=True):
        for name, points in panel["lines"].items():
            axes.plot(*zip(*points, strict=True), marker="o", ms=3, lw=1.2, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.minorticks_off()  # hundreds of lines in the file otherwise
        axes.set_xlabel(panel["x"])
        axes.set_title(panel["label"], fontsize=9)
        axes.legend(fontsize=7, frameon=False)
    figure.suptitle(chart["title"], x=0.02, ha="left", fontsize=10)
    figure.tight_layout()
    return figure
