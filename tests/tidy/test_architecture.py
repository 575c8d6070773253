"""ARCHITECTURE.md tells the truth: a warm Invoke enters the files of its table, in that order."""

import io
import re
import sys
import zipfile
from pathlib import Path
from types import FrameType

import lambent
from tests.servers import ThreadServer

ROOT = Path(__file__).resolve().parents[2]
SOURCE = str(Path(lambent.__file__).parent) + "/"
ROW = re.compile(r"^\| \d+ \| \[[^]]+\]\(src/lambent/([^)]+)\)", re.MULTILINE)


def test_a_warm_invoke_takes_the_path_that_is_written_down(server: ThreadServer) -> None:
    table = ROW.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert len(table) > 10
    entered = trace(server)
    followed = [name for name in entered if name in table]
    assert followed == table


def trace(server: ThreadServer) -> list[str]:
    """Files of ours that a warm invocation enters on the server's thread, by their first entry."""
    client = server.client("lambda")
    client.create_function(
        FunctionName="traced",
        Runtime=f"python{sys.version_info[0]}.{sys.version_info[1]}",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="app.handler",
        Code={"ZipFile": zipped()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="traced")
    client.invoke(FunctionName="traced")
    entered: dict[str, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(SOURCE):
            entered.setdefault(name.removeprefix(SOURCE))

    async def profile(on: bool) -> None:
        sys.setprofile(note if on else None)

    server.run(profile(on=True))
    try:
        client.invoke(FunctionName="traced")
    finally:
        server.run(profile(on=False))
    return list(entered)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return event\n")
    return buffer.getvalue()
