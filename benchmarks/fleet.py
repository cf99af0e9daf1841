"""What a fleet of clients does to an index that comes back after an outage.

`measure` runs the simulation of fleet_model.py, `section` and `draw` show what came out.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.fleet_model import CLIENTS, Result, Scene, simulate

TITLE = "What a fleet does to an index that comes back"

SHOWN = ("ours, download", "ours, no jitter", "ours, index page", "pip, mid-download")

SETTINGS: dict[str, dict[str, Any]] = {
    "5 s": {"outage": 5.0},
    "60 s": {"outage": 60.0},
    "110 s": {"outage": 110.0},
    "20 s, noticed within 10 s": {"spread": 10.0},
    "20 s, `Retry-After: 10`": {"retry_after": 10},
    "20 s, half the capacity": {"work": 60.0},
    "20 s, connections time out": {"silent": True},
}
OUTAGES = (1, 2, 3, 5, 7, 8, 10, 15, 20, 30, 60, 90, 100, 110, 118)
GRID_OUTAGES = (1, 5, 10, 20, 30, 60, 110)
GRID_WORKS = (5, 10, 15, 20, 25, 30, 60)
SECONDS = range(-10, 61)


def measure(quick: bool) -> dict[str, Any]:
    """Return the figures of every table and chart.

    :param quick: with a hundredth of the clients, and fewer outages.
    """
    few = 600 if quick else 6000
    outages = OUTAGES[::3] if quick else OUTAGES
    sizes = [100, 1000] if quick else [100, 1000, 10_000, 100_000]
    works, lengths = (GRID_WORKS[::3], GRID_OUTAGES[::3]) if quick else (GRID_WORKS, GRID_OUTAGES)
    return {
        "urllib3": version("urllib3"),
        "few": few,
        "sizes": {
            str(n): {name: simulate(c, Scene(n)).figures() for name, c in CLIENTS.items()}
            for n in sizes
        },
        "settings": {
            label: {
                name: simulate(client, Scene(few, **setting)).figures()
                for name, client in CLIENTS.items()
            }
            for label, setting in SETTINGS.items()
        },
        "rates": {
            str(outage): {
                name: _rates(simulate(CLIENTS[name], Scene(few, outage))) for name in SHOWN
            }
            for outage in (20.0, 110.0)
        },
        "outages": list(outages),
        "peaks": {
            name: [_peak(simulate(CLIENTS[name], Scene(few, outage))) for outage in outages]
            for name in SHOWN
        },
        "grid": {
            name: {
                str(work): [
                    _peak(simulate(CLIENTS[name], Scene(few, outage, work))) for outage in lengths
                ]
                for work in works
            }
            for name in ("ours, download", "ours, index page")
        },
        "grid_outages": list(lengths),
    }


def _peak(result: Result) -> float:
    return round(result.peak(False), 2)


def _rates(result: Result) -> list[float]:
    """Return the requests of each of `SECONDS`, in capacities."""
    return [round(result.rate.get(s, 0) / result.scene.capacity, 2) for s in SECONDS]


# The page.

HEAD = (
    "peak, first second",
    "peak after it",
    "seconds above 2",
    "last one served",
    "gave up",
    "requests per client",
)


def _cells(row: dict[str, float | None]) -> list[str]:
    last = row["last"]
    return [
        f"{row['first']:.1f}",
        f"{row['after']:.1f}",
        f"{row['above']}",
        "never" if last is None else f"{last:.0f} s",
        f"{row['gave_up']:.1f} %",
        f"{row['requests']:.1f}",
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rows(clients: dict[str, Any], *before: str) -> list[list[str]]:
    return [[*before, name, *_cells(row)] for name, row in clients.items()]


def _grid(figures: dict[str, Any], name: str) -> str:
    outages = figures["grid_outages"]
    rows = [
        [f"{work} s", *(f"**{peak:.1f}**" if peak <= 2 else f"{peak:.1f}" for peak in peaks)]
        for work, peaks in figures["grid"][name].items()
    ]
    return _table([f"{name}: work", *(f"outage {outage} s" for outage in outages)], rows)


def section(figures: dict[str, Any]) -> str:
    """Return the Markdown below `TITLE`: what was done, what came out, and what it means."""
    sizes = [
        row
        for n, clients in reversed(figures["sizes"].items())
        for row in _rows(clients, f"{int(n):,}")
    ]
    settings = [
        row for label, clients in figures["settings"].items() for row in _rows(clients, label)
    ]
    return TEXT.format(
        urllib3=figures["urllib3"],
        few=f"{figures['few']:,}",
        sizes=_table(["clients", "", *HEAD], sizes),
        settings=_table(["outage", "", *HEAD], settings),
        download=_grid(figures, "ours, download"),
        index=_grid(figures, "ours, index page"),
    )


TEXT = """\
An index is away for a while, and many pips wait for it. What do they do to it when it is back?
The aim: after the first second, no second with more than twice the requests that the server can
serve.

    python -m benchmarks fleet

simulates it, with a virtual clock and seeded random numbers: the same figures come out each
time, on any machine. What decided was the real code of the former core, and
the `Retry` of urllib3 {urllib3}, as pip builds it.

* At time zero N clients lose the server, all at once unless said otherwise: the worst case.
  Until the end of the *outage* connections are refused at once.
* Then it serves a fixed number of requests in each second, its *capacity*. What comes above
  that in the same second is answered 503. One served request finishes a client.
* Capacity is given as *work*: the seconds in which the server could serve the whole fleet if it
  came evenly. Unless said otherwise that is 30 s: 100,000 clients, 3,333 requests per second.
* **ours, download** goes on in mid-download. **No jitter** is the same, but always with the
  longest wait that might have been drawn. **5 % people**: so many of the fleet sit at a terminal,
  where the waits for a server that cannot be reached are at most 1 s. **Index page** is a page of a
  host that answered before: first pip's own six requests, whose waits are drawn, then ours.
  **pip's in step** is the same, with pip's own waits as they were.
* **pip, one request** is pip's own `Retry`, with waits of 0, 0.5, 1, 2 and 4 s. **pip,
  mid-download** is pip 25.1 and later, which begins that five times (`--resume-retries`),
  without a pause in between.

Not in the model: a server that slows down under load instead of answering 503, the time that a
request takes, several files for each client, and clients that come anew.

Peaks are in capacities; times count from the return.

### An outage of 20 s

{sizes}

![Requests per second over time](images/fleet-rate.svg)

The dashed level line is the aim. Where the table says 0.0 nobody happened to ask in that
second, for all ask in another one, or have given up. Among 100 clients, with a capacity of 3,
chance alone makes seconds with 10 requests.

The last client of ours is served about 20 s after the soonest that any order of requests allows
(30 s), and none gives up. pip gives up after 7.5 s where it makes one request, and after 37.5 s
in mid-download, and while it lasts the whole fleet asks in the same instant, again and again.
Jitter is what does it: without it our own longer waits are as much in step as pip's. People who are
a twentieth of the fleet come back in its first two seconds. They add less than one capacity to
those, and nothing to what comes after.

### Other outages, {few} clients

{settings}

![Peak and length of the outage](images/fleet-outage.svg)

A line is interrupted where nobody asked any more: those not served had given up.

### Where the aim is met, and where not

The peak after the first second, {few} clients; bold where the aim is met:

{download}

{index}

A client that has waited long draws between 0 and 30 s, so it asks every 15 s: N / 15 requests
per second, against a capacity of N / work, are work / 15 capacities. **So after a long outage
the aim is met where the server could serve the whole fleet within 30 s**, for downloads and
index pages; at exactly 30 s without room: chance takes single seconds a little above 2. It is
not met:

1. **After a short outage** for which the server is not strong enough (the left of the tables;
   with 30 s of work, after one of less than about 25 s). The waits drawn so far are about as
   long as the outage, so the fleet returns within about that time. No rule for what comes after
   the return changes that; only longer waits from the start would, and everyone with one
   dropped connection would pay for them. It is over within some 10 s, and nobody gives up.
2. **Where the server needs longer than 30 s for the fleet**: about work / 15, for about as long
   as that takes. All the while it serves what it can. With twice that work nobody gives up;
   with much more the 8 attempts do not suffice for all.
3. **For index pages, in an outage that is over before pip's own six requests are** (7.5 s), and
   for a while after. Their waits are drawn, around those that pip would make, so they no longer
   come in step; but they are short.
4. **Where connections time out** instead of being refused. Ours then draws from at least the 15
   s that the attempt took, but the system repeats a SYN after 1, 3 and 7 s for all alike, and
   lets them in together. For index pages pip's six requests, 15 s each, come first.

After an outage that is nearly as long as patience, some give up (a tenth after 110 s): all waits of
one request together end after 120 s and one last wait, and little of that is left for a server that
is back and busy. Who waits for pip knows when it ends.
"""


# The charts. To be read on a light and on a dark page: no background, grey text, and colours (Okabe
# and Ito) that differ for the colour-blind too.

GREY = "#808080"
STYLES = {
    "ours, download": ("#2490d0", "-"),
    "ours, no jitter": ("#e69f00", "--"),
    "ours, index page": ("#009e73", "-."),
    "pip, mid-download": ("#cc79a7", ":"),
}


def draw(figures: dict[str, Any], directory: Path) -> None:
    """Write fleet-rate.svg and fleet-outage.svg."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    greys = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor")
    style: Any = dict.fromkeys((*greys, "xtick.color", "ytick.color"), GREY)
    style.update({"svg.hashsalt": "fleet", "font.size": 10, "axes.titlesize": 10})

    def axes_of(figure: Figure, count: int) -> list[Any]:
        FigureCanvasSVG(figure)
        return list(figure.subplots(count, 1, squeeze=False)[:, 0])

    def finish(figure: Figure, name: str) -> None:
        for axes in figure.axes:
            axes.axhline(2, color=GREY, linewidth=1, linestyle=(0, (2, 2)))
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        figure.axes[0].legend(frameon=False, ncols=2)
        figure.tight_layout()
        figure.savefig(directory / name, transparent=True, metadata={"Date": None})

    with rc_context(style):
        figure = Figure(figsize=(8, 6.5))
        for axes, (outage, rates) in zip(axes_of(figure, 2), figures["rates"].items(), strict=True):
            for name, rate in rates.items():
                colour, line = STYLES[name]
                heights = [max(height, 0.02) for height in rate]
                axes.step(SECONDS, heights, where="post", label=name, color=colour, ls=line, lw=1.5)
            axes.axvline(0, color=GREY, linewidth=1)
            axes.set_ylim(0.02, 500)
            axes.set_title(f"outage of {float(outage):g} s; the server is back at 0")
            axes.set_ylabel("requests / capacity")
        axes.set_xlabel("seconds")
        finish(figure, "fleet-rate.svg")

        figure = Figure(figsize=(8, 4))
        (axes,) = axes_of(figure, 1)
        for name, peaks in figures["peaks"].items():
            colour, line = STYLES[name]
            heights = [peak or float("nan") for peak in peaks]
            axes.plot(figures["outages"], heights, label=name, color=colour, ls=line, marker=".")
        axes.set_xlabel("outage, seconds")
        axes.set_ylabel("peak after the first second / capacity")
        finish(figure, "fleet-outage.svg")
