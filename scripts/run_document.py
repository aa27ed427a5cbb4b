#!/usr/bin/env python3
"""Runs the code of a Markdown document and puts what it prints beneath it.

    python scripts/run_document.py docs/analysis.md

Every ```sh and ```python block is run where the script is started, in order; Python blocks share one process, as cells of a
notebook do. A ```text block that follows, with nothing but empty lines between, is replaced by what was printed.
"""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

CODE = r"((?:(?!```).*\n)*)"
BLOCK = re.compile(r"^```(sh|python)\n" + CODE + r"```\n(?:(\s*```text\n)" + CODE + r"```\n)?", re.M)


def main(path: Path) -> None:
    names = {"__name__": "__main__"}

    def run(language: str, code: str) -> str:
        print(f"--- {language}\n{code}", end="", file=sys.stderr, flush=True)
        if language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", code]
            return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(path), "exec"), names)  # the document is this repository's own
        return printed.getvalue()

    def replace(found: re.Match) -> str:
        language, code, between, _ = found.groups()
        printed = "\n".join(line.rstrip() for line in run(language, code).rstrip().splitlines())
        if between is None:
            return found.group()
        return f"```{language}\n{code}```\n{between}{printed}\n```\n"

    path.write_text(BLOCK.sub(replace, path.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
