"""The figures of docs/benchmarks.md: `python -m benchmarks` measures them and writes that page."""
