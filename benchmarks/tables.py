"""Writes the tables of benchmarks/results into README.md and docs, between their markers.

    python benchmarks/tables.py [--check]

A table stands between `<!-- results: SUBJECT [data=...] -->` and `<!-- /results -->`.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- results: (?P<subject>\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)


def number(value: float, unit: str) -> str:
    """Formats a value to four digits, large ones with thousands separators."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text} {unit}".strip()


def table(subject: str) -> str:
    """Returns a subject's results as a Markdown table with command, date and machine below."""
    document = json.loads((RESULTS / f"{subject}.json").read_text())
    lines = [
        "| data | protocol | model | metric | value | against |",
        "| --- | --- | --- | --- | ---: | --- |",
    ]
    for row in document["rows"]:
        value = number(row["value"], row["unit"])
        if row["stderr"] is not None:
            value += f" ± {row['stderr']:.2g}"
        against = row["peer"] if row["peer"] not in (None, row["model"]) else ""
        if row["ratio"] is not None:
            against = f"{row['ratio']:.3g} x {against}".strip()
        cells = (row["data"], row["protocol"], row["model"], row["metric"], value, against)
        lines.append("| " + " | ".join(cells) + " |")
    versions = ", ".join(f"{name} {v}" for name, v in document["versions"].items())
    origins = [(row.get("command"), row.get("date")) for row in document["rows"]]
    runs = dict.fromkeys([(document["command"], document["date"]), *origins])
    told = "; ".join(f"`{command}`, {date}" for command, date in runs if command)
    made = f"{told}. {document['machine']}; {versions}."
    lines += ["", made]
    return "\n".join(lines) + "\n"


def rewritten(text: str) -> str:
    """Returns a document with every marked table made anew."""
    return BLOCK.sub(lambda m: m.group(1) + table(m.group("subject")) + m.group(3), text)


def main() -> None:
    """Rewrites the documents, or with --check tells which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when out of date")
    check = parser.parse_args().check
    stale = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]:
        old = path.read_text()
        new = rewritten(old)
        if new != old:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.write_text(new)
    if check and stale:
        sys.exit(f"Out of date: {', '.join(map(str, stale))}. Run: make docs")


if __name__ == "__main__":
    main()
