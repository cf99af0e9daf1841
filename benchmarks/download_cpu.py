"""What the guard costs a download in which nothing goes wrong: CPU and memory, on / off.

    python benchmarks/download_cpu.py [--tls] [--partials] [--size BYTES] [--rounds N] PYTHON...

Each PYTHON is the interpreter of an environment with pip-retry-patch and a pip. Runs `pip download`
of one wheel from loopback, in turn with and without the guard (`PIP_RETRY_PATCH=0`), or, with
`--partials`, in turn with and without keeping what arrives (`PIP_RETRY_PATCH_PARTIALS=0`). Prints
user + system seconds and the peak resident size. Compare ratios only: machines are noisy, and the
smallest of many runs is the least disturbed one. `--tls` needs trustme.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pip_retry_patch.lab import Lab, Package


def serve(pipe: Connection, size: int, ca_pem: str | None) -> None:
    """Serve the wheel from a process of its own, whose memory is not the client's."""
    context = None
    if ca_pem:
        import trustme

        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(ca_pem)
    with Lab([Package("demo", size)], tls=context) as lab:
        lab.wheel("demo")
        pipe.send(lab.index_url)
        pipe.recv()


def cost(python: str, url: str, options: list[str], switch: dict[str, str]) -> tuple[float, int]:
    """Run one download; return its CPU seconds and its peak resident size in KiB."""
    dropped = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    env = {k: v for k, v in os.environ.items() if k not in dropped and not k.startswith("PIP_")}
    env.update(switch, PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1")
    with tempfile.TemporaryDirectory() as directory:
        command = [python, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--dest", directory, "--index-url", url, *options]
        # What is kept needs a cache directory; pip's own cache does not take plain http.
        command += ["--cache-dir", str(Path(directory, "cache")), "demo"]
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--partials", action="store_true")
    parser.add_argument("--size", type=int, default=300_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("python", nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        ca_pem = str(Path(directory, "ca.pem")) if arguments.tls else None
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(theirs, arguments.size, ca_pem)
        )
        server.start()
        url = ours.recv()
        options = ["--cert", ca_pem] if ca_pem else []
        switch = "PIP_RETRY_PATCH_PARTIALS" if arguments.partials else "PIP_RETRY_PATCH"
        for python in arguments.python:
            on, off = [], []
            for _ in range(arguments.rounds):
                on.append(cost(python, url, options, {switch: "1"}))
                off.append(cost(python, url, options, {switch: "0"}))
            seconds = [[run[0] for run in runs] for runs in (on, off)]
            least = [min(runs) for runs in seconds]
            middle = [statistics.median(runs) for runs in seconds]
            peak = [max(run[1] for run in runs) // 1024 for runs in (on, off)]
            print(
                f"{python}: CPU on/off {least[0] / least[1]:.3f} (least), "
                f"{middle[0] / middle[1]:.3f} (median); least {least[0]:.2f} s / {least[1]:.2f} s; "
                f"peak {peak[0]} MiB / {peak[1]} MiB",
                flush=True,
            )
        ours.send("done")
        server.join()


if __name__ == "__main__":
    main()
