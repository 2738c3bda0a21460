# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spread of what drills measured, over the latest runs.

Usage: python3 tests/benchmarks/drills.py [--runs N] [--reports DIRECTORY] [DRILL...]

Reads report.json of the N latest runs (default 5) and prints, for each probe of each drill, how often it was measured
and the minimum, median and maximum of the longest outage in seconds (upper ends), beside the bound and the limit; then,
of the drills that move servers, the seconds that the planner foretold beside those that were measured.
Runs of a drill whose verdict is void, missed or refused have measured nothing and are left out, and so are rehearsals.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ("passed", "failed")


def measured(reports: Path, runs: int) -> dict[tuple[str, str], list[tuple[float, float | None, float | None]]]:
    """Longest outage, bound and longest outage that the protocol allows (all in seconds), by drill and probe."""
    found = defaultdict(list)
    for report in sorted(reports.glob("[0-9]*/report.json"))[-runs:]:
        run = json.loads(report.read_text(encoding="utf-8"))
        if run["environment"].get("rehearsal"):
            continue
        for entry in run["drills"]:
            if entry["verdict"] not in MEASURED:
                continue
            for probe in entry["probes"]:
                spoken_of = entry["limit_s"] and probe["name"] == entry.get("limit_probe")
                limit = entry["limit_s"][1] if spoken_of else None
                found[entry["name"], probe["name"]].append((probe["longest_outage_s"], probe["bound_s"], limit))
    return found


def moved(reports: Path, runs: int) -> list[tuple[str, float, float]]:
    """Drill, predicted and measured seconds of each move that was foretold, in the order of the runs."""
    found = []
    for report in sorted(reports.glob("[0-9]*/report.json"))[-runs:]:
        run = json.loads(report.read_text(encoding="utf-8"))
        for entry in run["drills"]:
            move = entry.get("move")
            if run["environment"].get("rehearsal") or entry["verdict"] not in MEASURED or not move:
                continue
            # Of a playbook's run only the whole is known, with its start.
            took = move["measured_s"] or move["ended_at"] - move["began_at"]
            if move["predicted_s"] is not None:
                found.append((entry["name"], move["predicted_s"], took))
    return found


def show_moves(moves: list[tuple[str, float, float]]) -> None:
    """The second table, and the median error as a share of what was measured."""
    if not moves:
        return
    print("\n| drill | predicted | measured | error |\n|---|---|---|---|")
    errors = []
    for drill, predicted, took in moves:
        errors.append(abs(predicted - took) / took)
        print(f"| {drill} | {predicted:.1f} | {took:.1f} | {errors[-1]:.0%} |")
    print(f"\nMedian error {statistics.median(errors):.0%} of {len(errors)} moves.")


def text(value: float | None) -> str:
    """A figure in seconds, or nothing."""
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--reports", type=Path, default=ROOT / "reports")
    parser.add_argument("drill", nargs="*")
    chosen = parser.parse_args()
    print("| drill | probe | trials | min | median | max | bound | limit |\n|---|---|---|---|---|---|---|---|")
    for (drill, probe), figures in sorted(measured(chosen.reports, chosen.runs).items()):
        if chosen.drill and drill not in chosen.drill:
            continue
        outages = [outage for outage, _bound, _limit in figures]
        _outage, bound, limit = figures[-1]
        spread = (min(outages), statistics.median(outages), max(outages))
        cells = [drill, probe, str(len(outages)), *map(text, spread), text(bound), text(limit)]
        print(f"| {' | '.join(cells)} |")
    moves = moved(chosen.reports, chosen.runs)
    show_moves([move for move in moves if not chosen.drill or move[0] in chosen.drill])


if __name__ == "__main__":
    main()
