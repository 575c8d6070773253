"""`lambent cost` against a real server."""

import json
from pathlib import Path

from tests.cli.commands import deploy, invoke, lambent
from tests.servers import ThreadServer


def test_invocations_are_summed(server: ThreadServer, echo: Path) -> None:
    for name in ("cheap", "dear"):
        deploy(server, echo, name)
        invoke(server, name)
    invoke(server, "dear")
    result = lambent("cost", "--json", server=server)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    requests = {row["function"]: row["requests"] for row in figures["usage"]}
    assert requests == {"cheap": 1, "dear": 2}
    assert figures["total"]["usd"] > 3 * 0.20 / 1_000_000
    by_day = json.loads(lambent("cost", "--json", "--by", "day", server=server).stdout)
    assert [row["requests"] for row in by_day["usage"]] == [3]
    table = lambent("cost", "--function", "dear", server=server).stdout.splitlines()
    assert table[0].split() == ["day", "function", "requests", "billed", "ms", "GB-seconds", "USD"]
    assert table[1].split()[1:3] == ["dear", "2"]
    assert table[-1].startswith("total")
