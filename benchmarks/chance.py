"""A hundred random schedules of faults: who gets the right file, and what the others are told.

python -m benchmarks.chance SEED [CLIENT...]   # what every client (of these) said to one of them
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.charts import BLUE, GREEN, GREY, ORANGE, PINK, VERMILION, chart, table
from benchmarks.peers import Outcome, Peer, everyone
from benchmarks.schedules import schedule
from benchmarks.serving import serving_here
from tests.support import runs
from tests.support.lab.site import Request

TITLE = "Chance: a hundred random schedules of faults"

SEEDS = 100
LIMIT = 60.0  # seconds for one download

# How a run ends: its letter in the results, and the column it counts in.
ENDS = {
    "r": "right",
    "c": "clear error",
    "h": "misleading",  # blames the hash
    "d": "misleading",  # finds no distribution
    "p": "misleading",  # blames the package
    "u": "misleading",  # says nothing of the network
    "t": "traceback",
    "w": "wrong file",
    "n": "no end",
}
COLUMNS = tuple(dict.fromkeys(ENDS.values()))
STYLE = {  # readable without colour: the pattern differs as well
    "right": (BLUE, ""),
    "clear error": (GREEN, ".."),
    "misleading": (ORANGE, "//"),
    "traceback": (PINK, "xx"),
    "wrong file": (VERMILION, "**"),
    "no end": (GREY, "--"),
}

CRASH = re.compile(r"Traceback \(most recent call last\)|panicked at")
HASH = re.compile(r"DO NOT MATCH THE HASHES|hash mismatch|checksum", re.I)
NOTHING = re.compile(r"No matching distribution|No solution found|not found in the package reg")
PACKAGE = re.compile(r"(wheel|archive|zip|metadata|file)\b.{0,80}\b(invalid|corrupt|bad)", re.I)
PACKAGE_FIRST = re.compile(r"(invalid|corrupt|bad)\b.{0,40}\b(wheel|archive|zip|metadata)", re.I)
NETWORK = re.compile(
    r"connect|network|timed? ?out|transfer|interrupted|incomplete|stopped at|not enough bytes"
    r"|unreachable|server|status|service unavailable|too many requests|error 50\d|error 429"
    r"|range|request|decod|ssl|tls|got eof",
    re.I,
)
URL = re.compile(r"https?://\S+")


def spoiled(requests: Sequence[Request]) -> bool:
    """Whether a response brought this client bytes that are not those of the file it was told of.

    Then its hash cannot fit, and to say so is the truth.
    """
    for request in requests:
        fault = request.fault or ""
        if "Flip" in fault or "Changed" in fault:
            return True
        if request.status == 200 and "Short" in fault:  # complete by its framing
            return True
        if request.status == 206 and re.search(r"Unlabelled\(shift=[1-9]", fault):
            return True
    return False


def judge(outcome: Outcome, false_bytes: bool) -> str:
    """Say by its letter how a run ended, by the same rules for every client."""
    output = URL.sub("", outcome.output)
    if outcome.end == "right":
        return "r"
    if outcome.returncode is None:
        return "n"
    if outcome.returncode == 0:
        return "w"
    if CRASH.search(output):
        return "t"
    if HASH.search(output):
        return "c" if false_bytes else "h"
    if NOTHING.search(output):
        return "d"
    if not false_bytes and (PACKAGE.search(output) or PACKAGE_FIRST.search(output)):
        return "p"
    return "c" if false_bytes or NETWORK.search(output) else "u"


def run(peer: Peer, seed: int) -> tuple[str, Outcome, list[Request]]:
    """Let a client meet a schedule."""
    package, secure = schedule(seed)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        home.mkdir()
        ca_pem = Path(scratch, "ca.pem") if secure else None
        with serving_here([package], ca_pem) as served:
            outcome = peer.download(served, package.name, home, ca_pem=ca_pem, limit=LIMIT)
            requests = served.requests(package.name)
    artifact = [request for request in requests if request.kind == "artifact"]
    return judge(outcome, spoiled(artifact)), outcome, requests


def measure(quick: bool) -> dict[str, Any]:
    """Let every client meet every schedule; two clients run at a time."""
    peers, seeds = everyone(), range(SEEDS)
    if quick:
        peers, seeds = [peers[0], peers[2], peers[-1]], range(2)
    jobs = [(peer, seed) for seed in seeds for peer in peers]
    ends = {peer.name: "" for peer in peers}
    with ThreadPoolExecutor(2) as pool:
        # How a download ends is no matter of speed: two clients do not disturb each other.
        ended = pool.map(lambda job: run(*job), jobs)
        for (peer, seed), (letter, outcome, _) in zip(jobs, ended, strict=True):
            ends[peer.name] += letter
            print(f"{seed}: {peer.name}: {ENDS[letter]}, {outcome.seconds:.0f} s", flush=True)
    ours = [peer.name for peer in peers if peer.armed]
    return {"limit": LIMIT, "letters": ENDS, "ours": ours, "ends": ends}


# The page


def counted(figures: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Give for each client how many runs ended in each of the ways."""
    return {
        name: {
            column: sum(figures["letters"][letter] == column for letter in letters)
            for column in COLUMNS
        }
        for name, letters in figures["ends"].items()
    }


def section(figures: dict[str, Any]) -> str:
    """What was done, the table, the chart, and what follows from them."""
    counts, ours = counted(figures), figures["ours"]
    seeds = len(figures["ends"][ours[0]])
    shown = [column for column in COLUMNS if any(count[column] for count in counts.values())]
    rows = [
        [name, *(f"**{count[c]}**" if c == "right" else str(count[c]) for c in shown)]
        for name, count in counts.items()
    ]
    best = max(count["right"] for count in counts.values())
    most = [name for name, count in counts.items() if count["right"] == best]
    honest = [name for name, letters in figures["ends"].items() if set(letters) <= set("rc")]
    return f"""
{seeds} schedules, drawn at random from a seed, the same for every client: 1 to 8 faults for the
file, one after the other (cuts, resets, silence, 503 and 429, a server that is away or hangs up
without an answer, ranges from elsewhere, unlabelled, of another total or validator, everything in
place of a range; now and then a file that the server cuts short, that changes, or has a byte
flipped on its way), and in half of them one or two for the index page (cuts, 503 and 429, hanging
up). Some are served over TLS, with broken records, some in chunks, without ranges, without a strong
validator, or without a hash on the page. The file has 0.3 to 3 MB;
{figures["limit"]:.0f} s are allowed. The clients are called as above.

wget, curl and aria2 have it easier: they are given the file's address, and never meet the page.
wget and curl have it harder, too: they are told no hash, so that a flipped byte is a wrong file to
them, which `sha256sum` would find.

How a run ended is told by rules in `benchmarks/chance.py`, the same for every client:

- **right**: the exit code is 0, and the file is what the index has.
- **clear error**: another exit code, and a message that names the connection, the server or its
  answer. To blame the hash or the file is clear, too, where the server did send false bytes, or a
  part of the file as the whole.
- **misleading**: the message blames the hash or the package though every byte sent was a true one,
  says that there is no such distribution though the index has it, or nothing of the network.
- **traceback**, or a panic, whatever it says.
- **wrong file**: the exit code is 0, but there is no file, or another one.
- **no end** within the time.

{table(["", *shown], rows)}

![How the runs ended, for every client](images/chance.svg)

{" ".join(_told(name, counts[name], figures["ends"][name]) for name in ours)}

Right or a clear error every time: {", ".join(honest) or "nobody"}. The most right files,
{best} of {seeds}: {", ".join(most)}.
`python -m benchmarks.chance SEED` shows what each client meets and says.
"""


def _told(name: str, count: dict[str, int], letters: str) -> str:
    """Say in a sentence how one client of ours did, with the seeds of what is not as it should."""
    good = count["right"] + count["clear error"]
    text = f"{name}: {good} of {len(letters)} are right or a clear error"
    if good == len(letters):
        return f"{text}."
    seeds = [str(seed) for seed, letter in enumerate(letters) if ENDS[letter] not in COLUMNS[:2]]
    return f"{text}; the seeds of the rest: {', '.join(seeds)}."


def draw(figures: dict[str, Any], directory: Path) -> None:
    """One bar for each client, in parts that differ in colour and pattern."""
    counts = counted(figures)
    names = list(counts)
    size = (9, 0.36 * len(names) + 1.2)
    with chart(directory / "chance.svg", figsize=size) as (_, axes):
        left = [0] * len(names)
        for column in COLUMNS:
            widths = [counts[name][column] for name in names]
            if not any(widths):
                continue
            colour, pattern = STYLE[column]
            options = {"color": colour, "hatch": pattern, "edgecolor": "white", "label": column}
            bars = axes.barh(names, widths, left=left, linewidth=0.5, **options)
            labels = [str(width) if width >= 4 else "" for width in widths]
            # The patterns would cross the figures out.
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
            axes.bar_label(bars, labels, label_type="center", color="black", fontsize=9, bbox=box)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.invert_yaxis()
        axes.set_xlim(0, max(left))
        axes.set_xlabel(f"{max(left)} schedules of faults")
        axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(COLUMNS))


def main() -> None:
    """Show one schedule, and what the clients made of it."""
    runs.begin_run()
    seed, wanted = int(sys.argv[1]), sys.argv[2:]
    package, secure = schedule(seed)
    print(f"{package}\nTLS: {secure}")
    for peer in everyone():
        if wanted and not any(word in peer.name for word in wanted):
            continue
        letter, outcome, requests = run(peer, seed)
        print(f"\n=== {peer.name}: {ENDS[letter]} ({letter}; {outcome.end})")
        print(f"{outcome.returncode=}, {outcome.seconds:.1f} s\n{outcome.output}")
        for request in requests:
            print(request.kind, request.range, request.status, request.sent, request.fault)


if __name__ == "__main__":
    main()
