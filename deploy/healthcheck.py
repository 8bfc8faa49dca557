"""The container's health check: a server that was asked for (--serve, or `fer-edge serve`) answers.

Without a server there is nothing to ask: the container is healthy while it runs. Exit code 0 is healthy, 1 is not.
"""

import sys
import urllib.request
from pathlib import Path

from fer_edge.cli.commands import edge
from fer_edge.cli.subcommands.serve import serve

TIMEOUT_S = 5
HERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # all addresses of the machine, as one that can be asked


def command_line(proc: Path = Path("/proc")) -> list[str]:
    """The arguments of the first fer-edge that runs in the container; [] if there is none."""
    for process in sorted(proc.glob("[0-9]*"), key=lambda folder: int(folder.name)):
        try:
            words = (process / "cmdline").read_text(encoding="utf-8", errors="surrogateescape").split("\0")[:-1]
        except OSError:  # it has ended
            continue
        for index, word in enumerate(words[:2]):  # the program, or what its interpreter runs
            if Path(word).name == "fer-edge":
                return words[index + 1 :]
    return []


def address(arguments: list[str]) -> tuple[str, int] | None:
    """Host and port at which these arguments make fer-edge serve; None if they don't."""
    if arguments[:1] == ["serve"]:
        found = serve.make_context("serve", arguments[1:], resilient_parsing=True).params["address"]
    else:
        found = edge.make_context("fer-edge", list(arguments), resilient_parsing=True).params.get("serve")
    return None if found is None else (HERE.get(found[0], found[0]), found[1])


def main() -> int:
    """Ask the server and say what was found."""
    asked = address(command_line())
    if asked is None:
        print("healthy: no server was asked for")
        return 0
    url = f"http://{asked[0]}:{asked[1]}/api/v1/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy doesn't reach this container
    try:
        opener.open(url, timeout=TIMEOUT_S).close()
    except OSError as error:  # HTTPError and URLError, too
        print(f"unhealthy: {url}: {error}")
        return 1
    print(f"healthy: {url} answers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
