"""What can go wrong with the local cluster, each with its remedy in the sentence.

ClusterError
├── CommandFailed        a program that was run ended badly; its last lines are quoted
├── PackagesMissing      Debian packages are missing and cannot be installed from here
└── PartMissing          a binary or image was asked for before it was built
"""


class ClusterError(Exception):
    """Base of every error that the program prints without a traceback."""


class CommandFailed(ClusterError):
    """A program ended with a status other than 0, or could not be started."""

    def __init__(self, argv: list[str], status: int, output: list[str]) -> None:
        self.argv = argv
        self.status = status
        self.output = output
        lines = "\n".join(f"    {line}" for line in output) or "    (it printed nothing)"
        super().__init__(f"{' '.join(argv[:4])} … ended with status {status}:\n{lines}")


class PackagesMissing(ClusterError):
    """Debian packages are missing."""


class PartMissing(ClusterError):
    """A part of the cluster has not been built."""
