"""What can go wrong with the local cluster, each with its remedy in the sentence.

ClusterError
├── CommandFailed        a program that was run ended badly; its last lines are quoted
├── PackagesMissing      Debian packages are missing and cannot be installed from here
├── PartMissing          a binary or image was asked for before it was built
├── SourcesChanged       what an image is made from changed while it was built
├── BadRequest           a name or value that was given is not usable; says which are
├── HostUnfit            the machine lacks something that a cluster needs; says what
├── NotRunning           a machine of the cluster is not running; says how to start it
├── TookTooLong          something did not happen in its time; says what was waited for
├── DaemonEnded          a daemon ended where it should go on; its last lines are quoted
└── ApiRefused           the API server answered with an error status
"""

from pathlib import Path


class ClusterError(Exception):
    """Base of every error that the program prints without a traceback."""


class CommandFailed(ClusterError):
    """A program ended with a status other than 0, or could not be started."""

    def __init__(self, argv: list[str], status: int, output: list[str]) -> None:
        self.status = status
        self.output = output
        lines = "\n".join(f"    {line}" for line in output) or "    (it printed nothing)"
        super().__init__(f"{' '.join(argv[:4])} … ended with status {status}:\n{lines}")


class PackagesMissing(ClusterError):
    """Debian packages are missing."""


class PartMissing(ClusterError):
    """A part of the cluster has not been built."""


class SourcesChanged(ClusterError):
    """What an image is made from changed while it was built."""


class BadRequest(ClusterError):
    """What was asked for cannot be."""


class HostUnfit(ClusterError):
    """The machine lacks something that a cluster needs."""


class NotRunning(ClusterError):
    """A machine of the cluster is not running."""


class TookTooLong(ClusterError):
    """Something did not happen in its time."""


class DaemonEnded(ClusterError):
    """A daemon ended where it should go on."""

    def __init__(self, name: str, log: Path, lines: list[str]) -> None:
        quoted = "\n".join(f"    {line}" for line in lines) or "    (it logged nothing)"
        super().__init__(f"{name} ended; the last lines of {log}:\n{quoted}")


class ApiRefused(ClusterError):
    """The API server answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
