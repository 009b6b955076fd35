"""What differs where kind is: only what needs no Docker can be told here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from quickstart.kind import end


def test_a_recorded_forward_is_ended(tmp_path: Path) -> None:
    """The process whose id was written down ends, and its record goes."""
    sleeper = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "port-forward"]
    with subprocess.Popen(sleeper, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()  # it runs, so its command line is its own
        record = tmp_path / "forward-1.pid"
        record.write_text(str(process.pid))
        end(record)
        assert process.wait(timeout=10) == -15
    assert not record.exists()


def test_a_stale_record_ends_nobody_else(tmp_path: Path) -> None:
    """A process id that belongs to another program by now is left alone."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        record = tmp_path / "forward-1.pid"
        record.write_text(str(process.pid))
        end(record)
        assert process.poll() is None
        process.kill()
    assert not record.exists()
    end(record)
