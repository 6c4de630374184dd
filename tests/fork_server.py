"""A stand-in for `python` that starts in 30 ms instead of 2 s, as a server forks it with torch and nmt loaded.

It runs `python -m nmt_cli ARGUMENTS` and `python -c PROGRAM ARGUMENTS` with the environment, folder, standard streams,
signals and process group of its caller. Only imports have happened before. Not for tests of starting and of closed
streams, nor in another session than the server's.
"""

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

_CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
mask = os.umask(0)
caller = dict(arguments=sys.argv[1:], environment=dict(os.environ), folder=os.getcwd(), group=os.getpgrp(), mask=mask)
socket.send_fds(server, [b"."], [0, 1, 2])
server.sendall(json.dumps(caller).encode() + b"\\n")
answers = server.makefile()
process = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.kill(process, number))
code = int(answers.readline())
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class ForkServer:
    """A running server.

    Args:
        folder: Will contain the program `python`.
    """

    def __init__(self, folder: Path) -> None:
        address = str(folder / "socket")
        self._process = subprocess.Popen(
            [sys.executable, __file__, address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"
        self.python = folder / "python"
        self.python.write_text(_CLIENT.format(python=sys.executable, address=address))
        self.python.chmod(0o755)

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.communicate()


def _serve(address: str) -> list[str]:
    """Answer callers for ever; return the arguments of one of them in the process that is to run its program."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        os.write(1, b"ready\n")
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                break
            client.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, *_ = socket.recv_fds(client, 1, 3)
    caller = json.loads(client.makefile().readline())
    process = os.fork()
    if process:
        _watch(client, process, descriptors)
    client.close()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.setpgid(0, caller["group"])
    os.chdir(caller["folder"])
    os.umask(caller["mask"])
    os.environ.clear()
    os.environ.update(caller["environment"])
    return list(caller["arguments"])


def _watch(client: socket.socket, process: int, descriptors: list[int]) -> None:
    """Tell the caller how its process ended; kill the process if the caller is killed."""
    for descriptor in (1, *descriptors):
        os.close(descriptor)
    client.sendall(f"{process}\n".encode())
    ended = os.pidfd_open(process)
    if ended not in select.select([ended, client], [], [])[0]:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    try:
        client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    finally:
        os._exit(0)


def _load_modules() -> None:
    """Import nmt and what it imports, except the programs of other toolkits."""
    import nmt_cli

    for module in pkgutil.walk_packages(nmt_cli.__path__, "nmt_cli."):
        if not module.name.startswith(("nmt_cli.interop", "nmt_cli.__main__")):
            importlib.import_module(module.name)


if __name__ == "__main__":
    _load_modules()
    option, program, *arguments = _serve(sys.argv[1])
    if option == "-c":
        sys.argv = ["-c", *arguments]
        sys.path[0] = ""
        sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        exec(program, {"__name__": "__main__"})
    else:
        assert (option, program) == ("-m", "nmt_cli")
        sys.argv = ["nmt", *arguments]
        importlib.import_module("nmt_cli.cli").main()
