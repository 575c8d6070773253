"""`lambent tune`: run a function at several memory sizes, and plot its time against its cost.

It works on a copy of the function, which is deleted afterwards: nobody else's invocations change
their size. The first invocation at each size is a cold start and does not count.
Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

import argparse
import base64
import http.client
import re
import statistics
import sys
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from lambent.cli import client
from lambent.cli.client import FUNCTIONS, Client
from lambent.cli.deploy import Deployment
from lambent.cli.errors import CommandError
from lambent.cli.invoke import event_from
from lambent.cli.terminal import BOLD, progress, styled

SIZES = "128,256,512,1024"
RUNS = 5
BAR = 30
COPIED = ("Runtime", "Handler", "Role", "Timeout", "Environment", "EphemeralStorage")
REQUEST_USD = 0.20 / 1_000_000
GB_S_USD = 0.0000166667
"""Source: https://aws.amazon.com/lambda/pricing/ (us-east-1, x86, first tier)"""

_REPORT = re.compile(r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t")


@dataclass(frozen=True, slots=True)
class Size:
    """Medians at one memory size, MiB and milliseconds; the price is of a million invocations."""

    memory_mib: int
    duration_ms: float
    billed_ms: float

    @property
    def usd_per_million(self) -> float:
        """Compute and requests."""
        gb_s = self.memory_mib / 1024 * self.billed_ms / 1000
        return (gb_s * GB_S_USD + REQUEST_USD) * 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The function, its event, and the sizes."""
    parser.add_argument("name", metavar="FUNCTION")
    parser.add_argument("--event", metavar="FILE|-", help="JSON file, or - for stdin [{}]")
    parser.add_argument("--sizes", default=SIZES, help=f"memory sizes in MB [{SIZES}]")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"invocations a size [{RUNS}]")
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print. Returns 0; errors: CommandError if the function fails."""
    sizes = _sizes(arguments.sizes)
    if arguments.runs < 1:
        raise CommandError("--runs must be at least 1", 2)
    server = Client.chosen(arguments)
    event = event_from(arguments.event)
    copy = _copy(server, arguments.name)
    try:
        found = [_measured(server, copy, size, event, arguments.runs) for size in sizes]
    finally:
        server.call("lambda", "DELETE", _path(copy.name))
    _print(arguments.name, found)
    return 0


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        raise CommandError(f"--sizes must be numbers of MB like {SIZES}, not {text!r}", 2) from None
    return sizes


def _path(name: str) -> str:
    return f"{FUNCTIONS}/{quote(name, safe='')}"


def _copy(server: Client, name: str) -> Deployment:
    """A copy of a function under another name, ready to be invoked."""
    found = server.call("lambda", "GET", _path(name)).json()
    configuration = found["Configuration"]
    short = configuration["FunctionName"][:57]
    copy = Deployment(server, f"{short}-tuning")
    wanted = {key: configuration[key] for key in COPIED if key in configuration}
    copy.send("POST", FUNCTIONS, wanted | {
        "FunctionName": copy.name,
        "Code": {"ZipFile": base64.b64encode(_download(found["Code"]["Location"])).decode()},
    })  # fmt: skip
    copy.settled()
    return copy


def _download(location: str) -> bytes:
    parts = urlsplit(location)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=60)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"the code cannot be downloaded from {parts.netloc}: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise CommandError(f"the code cannot be downloaded: status {answer.status}")
    return data


def _measured(server: Client, copy: Deployment, size: int, event: bytes, runs: int) -> Size:
    copy.send("PUT", f"{_path(copy.name)}/configuration", {"MemorySize": size})
    copy.settled()
    figures = []
    with progress(f"running at {size} MB"):
        for _ in range(runs + 1):
            answer = server.call(
                "lambda",
                "POST",
                f"{_path(copy.name)}/invocations",
                headers={"X-Amz-Log-Type": "Tail"},
                body=event,
            )
            if "x-amz-function-error" in answer.headers:
                text = answer.body.decode("utf-8", "replace")
                raise CommandError(f"the function failed at {size} MB: {text}")
            tail = base64.b64decode(answer.headers["x-amz-log-result"]).decode("utf-8", "replace")
            report = _REPORT.search(tail)
            if report is None:
                raise CommandError("there is no REPORT line in the log: is its format JSON?")
            figures.append((float(report[1]), int(report[2])))
    times, billed = zip(*figures[1:], strict=True)
    return Size(size, statistics.median(times), statistics.median(billed))


def _print(name: str, found: list[Size]) -> None:
    slowest = max(size.duration_ms for size in found) or 1.0
    dearest = max(size.usd_per_million for size in found)
    print(styled(f"{name}: median time, and price of a million invocations", BOLD, sys.stdout))
    for size in found:
        time = "#" * max(1, round(BAR * size.duration_ms / slowest))
        cost = "$" * max(1, round(BAR * size.usd_per_million / dearest))
        print(f"{size.memory_mib:>6} MB {size.duration_ms:>10.2f} ms  {time}")
        print(f"{'':>9} {size.usd_per_million:>9.2f} USD  {cost}")
    best = min(found, key=lambda size: size.usd_per_million)
    fastest = min(found, key=lambda size: size.duration_ms)
    print(f"cheapest at {best.memory_mib} MB, fastest at {fastest.memory_mib} MB")
