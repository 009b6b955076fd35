"""`kubectl roadstead` as people run it: a process with a kubeconfig."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.operator.operator_process import ROOT, Operator, kubeconfig_of


@dataclass(frozen=True)
class Caller:
    """Who runs the command, by its kubeconfig."""

    kubeconfig: Path

    @classmethod
    def by_token(cls, operator: Operator, folder: Path, token: str) -> Caller:
        kubeconfig = folder / f"kubeconfig-{abs(hash(token))}"
        config = kubeconfig_of(operator.server.url, operator.certificate, token)
        kubeconfig.write_text(json.dumps(config))
        return cls(kubeconfig)

    def run(self, *words: str | Path, stdin: str = "", **environ: str) -> tuple[int, str, str]:
        """The exit code, what was printed, and what was said of errors; never a password."""
        ran = subprocess.run(
            [sys.executable, "-m", "registry_operator.command", *words, "--kubeconfig", self.kubeconfig],
            env={"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", **environ},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "rst_" not in ran.stdout + ran.stderr
        return ran.returncode, ran.stdout, ran.stderr

    def document(self, *words: str | Path, stdin: str = "", fine: tuple[int, ...] = (0, 1)) -> Any:
        """What a verb says with `-o json`."""
        code, text, errors = self.run(*words, "-o", "json", stdin=stdin)
        assert code in fine, (code, text, errors)
        assert not errors, errors
        return json.loads(text)
