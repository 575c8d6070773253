"""What the tests of the command line share."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, so that nobody else gets it, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A folder with a function that answers what it is asked, logs it, and fails on demand."""
    folder = tmp_path / "echo"
    folder.mkdir()
    (folder / "app.py").write_text(
        "import os\n"
        "def handler(event, context):\n"
        "    print('asked', event)\n"
        "    if event.get('fail'):\n"
        "        raise ValueError(event['fail'])\n"
        "    return {'event': event, 'word': os.environ.get('WORD'),\n"
        "            'memory': context.memory_limit_in_mb}\n"
    )
    return folder
