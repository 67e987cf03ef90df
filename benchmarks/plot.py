"""The results as a picture, where matplotlib is installed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from measure import Measurement
from report import Report

_MANY = 1000  # times the floor: beyond this a bar only makes the others short


def draw(report: Report, path: Path) -> bool:
    """Writes an SVG: medians as multiples of the floor, and what happens as things grow. False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text: searchable, and a tenth of the size
    matplotlib.rcParams["svg.hashsalt"] = "podflare"  # the same picture, the same file
    from matplotlib import pyplot

    bars = _bars(report)
    series = _series(report)
    rows = 1 + (len(series) + 1) // 2
    heights = [max(2.0, 0.26 * len(bars)), *[3.0] * (rows - 1)]
    figure = pyplot.figure(figsize=(11, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(rows, 2, height_ratios=heights)

    axes = figure.add_subplot(grid[0, :])
    axes.barh(
        [name for name, _, _ in bars], [ratio for _, ratio, _ in bars], color=[colour for *_, colour in bars]
    )
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel="median, as a multiple of the floor (blue: the emulator, grey: others)")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)

    for index, (name, measurements) in enumerate(series.items()):
        axes = figure.add_subplot(grid[1 + index // 2, index % 2])
        numbers = [measurement.point[1] for measurement in measurements if measurement.point]
        axes.plot(numbers, [measurement.median for measurement in measurements], marker="o")
        axes.set(title=name, ylabel=measurements[0].unit, ylim=(0, None))
        axes.set_xscale("log")
        axes.set_xticks(numbers, [f"{number:,}" for number in numbers], rotation=30, fontsize="small")
        axes.minorticks_off()
        axes.grid(alpha=0.3)

    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return True


def _bars(report: Report) -> list[tuple[str, float, str]]:
    """Name, ratio to the floor, and colour."""
    bars = []
    for outcome, measurement in report.measured():
        ratio = report.ratio(outcome, measurement)
        if ratio and 0 < ratio <= _MANY and outcome.case.subject != "scaling":
            colour = "#888888" if outcome.case.subject == "peers" else "#3b74b4"
            bars.append((measurement.name, ratio, colour))
    return bars


def _series(report: Report) -> dict[str, list[Measurement]]:
    series: dict[str, list[Measurement]] = defaultdict(list)
    for _, measurement in report.measured():
        if measurement.point:
            series[measurement.point[0]].append(measurement)
    return {name: points for name, points in series.items() if len(points) > 1}
