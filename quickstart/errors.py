"""What can go wrong in the main job, each with its remedy.

QuickstartError
├── CommandFailed      a program said no: its last lines are in the message
├── NotReady           something did not become ready in time: what it said last is in the message
└── HostsNotWritable   the machine's /etc/hosts
"""


class QuickstartError(Exception):
    """A sentence for the person in front of the terminal."""


class CommandFailed(QuickstartError):
    def __init__(self, argv: tuple[str, ...], output: str) -> None:
        tail = "\n".join(output.strip().splitlines()[-15:])
        super().__init__(f"{' '.join(argv[:6])} … failed:\n{tail}")
        self.output = output


class NotReady(QuickstartError):
    pass


class HostsNotWritable(QuickstartError):
    pass
