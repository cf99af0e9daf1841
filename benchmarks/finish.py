"""How long a download takes over a link that breaks, by the time that the link itself needs."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import Any

from benchmarks import charts
from benchmarks.clients import NAME, OURS, RIGHT, Client, at_a_terminal, everyone
from tests.support.certificates import SERVER, certificates
from tests.support.lab.faults import Away, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab
from tests.support.scenes import Scene

RATE = 20_000_000  # bytes of a stream per second
# What 1448 bytes of a stream are on the wire: TCP with timestamps, IP, Ethernet.
OVERHEAD = 1514 / 1448
LIMIT = 90.0  # seconds, after which a client is stopped
ROUNDS = 2
# So many seconds apart the runs of one client with an outage begin: one waits, the next starts.
APART = 4.0
ALONE, OUTAGES = ("clean", "drops"), ("lost", "wifi", "away")
Run = dict[str, Any]  # end; seconds of the whole process; transfer: from the first request on


def measure(quick: bool) -> dict[str, Any]:
    """Let each client download in each way, in turn; who did not finish is not asked again."""
    scale = {"size": 100_000_000, "every": 5_000_000, "outage": 20.0}
    clients = everyone()
    clients = [*clients[: len(OURS)], *map(at_a_terminal, clients[: len(OURS)]), *clients[2:]]
    if quick:
        scale = {"size": 2_000_000, "every": 1_500_000, "outage": 1.0}
        clients = [clients[1], clients[-1]]
    runs: dict[str, dict[str, list[Run]]] = {
        way: {client.name: [] for client in clients} for way in (*ALONE, *OUTAGES)
    }
    for _ in range(1 if quick else ROUNDS):
        for client in clients:
            ways = [way for way in runs if all(r["end"] == RIGHT for r in runs[way][client.name])]
            done = {way: run(client, scale, way) for way in ways if way in ALONE}
            waiting = [way for way in ways if way in OUTAGES]
            with ThreadPoolExecutor(len(OUTAGES)) as pool:
                waits = (number * APART for number in range(len(waiting)))
                together = pool.map(partial(run, client, scale), waiting, waits)
                done.update(zip(waiting, together))
            for way, one in done.items():
                runs[way][client.name].append(one)
                print(client.name, way, one, flush=True)
    return {**scale, "runs": runs}


def run(client: Client, scale: dict[str, Any], way: str, wait: float = 0.0) -> Run:
    """Download once, over a link and from an index of its own, which speaks TLS."""
    time.sleep(wait)
    faults = [Away(scale["size"] // 2, scale["outage"])] if way == "away" else []
    forever = Cut(scale["every"]) if way == "drops" else None
    package = Package(NAME, scale["size"], metadata=True, faults=faults, forever=forever)
    over = threading.Event()
    with Scene(rate=round(RATE * OVERHEAD)) as scene:
        tls, place = certificates().server, scene.among_servers
        with Lab([package], tls=tls, host=SERVER, place=place) as lab:
            vanishing = threading.Thread(target=vanish, args=(way, scale, scene, over))
            vanishing.start()
            began = time.monotonic()
            try:
                end, seconds = client.download(lab, certificates().ca_pem, scene.launcher, LIMIT)
            finally:
                over.set()
                vanishing.join()
            asked = [request.time - began for request in lab.requests(NAME, "artifact")]
    transfer = seconds - asked[0] if asked else 0.0
    return {"end": end, "seconds": round(seconds, 2), "transfer": round(transfer, 2)}


def vanish(way: str, scale: dict[str, Any], scene: Scene, over: threading.Event) -> None:
    """Let the wire go away when half of the file has passed, until the outage or all is over."""
    breaks = {"lost": scene.silent, "wifi": scene.unplugged}.get(way, contextlib.nullcontext)
    while scene.sent() < scale["size"] / 2:
        if over.wait(0.005):
            return
    with breaks():
        over.wait(scale["outage"])


def cell(runs: dict[str, dict[str, list[Run]]], name: str, way: str, outage: float) -> str:
    """The seconds from the first request on, beyond the client's clean run and the outage."""
    for one in runs[way][name]:
        if one["end"] != RIGHT:
            return str(one["end"])
    clean, took = (median(one["transfer"] for one in runs[w][name]) for w in ("clean", way))
    added = took - clean - (outage if way in OUTAGES else 0.0)
    return f"{round(added, 1) + 0.0:+.1f}"


def section(figures: dict[str, Any]) -> str:
    runs, rows = figures["runs"], []
    for name, clean in runs["clean"].items():
        share = median(one["transfer"] for one in clean) * RATE / figures["size"]
        cells = (cell(runs, name, way, figures["outage"]) for way in runs if way != "clean")
        rows.append([name, f"{share:.2f}", *cells])
    head = ["", "no fault", f"a drop every {figures['every'] / 1e6:g} MB"]
    outage = f"{figures['outage']:g} s without"
    head += [f"{outage} {what}" for what in ("packets", "wifi", "server")]
    return charts.table(head, rows)
