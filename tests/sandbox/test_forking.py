"""What the forking levels share: entry points, Node's command, resource limits."""

from pathlib import Path

import pytest

from lambent.sandbox.box import Interpreter, InvalidEntrypointError, Spec
from lambent.sandbox.forking import entrypoint, node_command, resource_limits


def spec(task: Path, layers: Path | None = None) -> Spec:
    return Spec(
        id="x", runtime="provided.al2023", handler="h", task_root=task, layers_root=layers,
        environment={}, memory_mib=128, tmp_mib=512, init_timeout_s=10, on_output=lambda _: None,
    )  # fmt: skip


def test_the_code_s_bootstrap_comes_before_the_layers(tmp_path: Path) -> None:
    task, layers = tmp_path / "task", tmp_path / "layers"
    for folder in (task, layers):
        folder.mkdir()
        (folder / "bootstrap").touch(0o755)
    assert entrypoint(spec(task, layers)) == (task / "bootstrap", "/var/task/bootstrap")
    (task / "bootstrap").chmod(0o644)
    assert entrypoint(spec(task, layers)) == (layers / "bootstrap", "/opt/bootstrap")
    with pytest.raises(InvalidEntrypointError):
        entrypoint(spec(task))


def test_node_gets_its_share_of_the_memory() -> None:
    node = Interpreter("nodejs", (20,), Path("/x/bin/node"))
    assert node_command(node, 128, "/b.mjs") == [
        "/x/bin/node", "--max-semi-space-size=6", "--max-old-space-size=115", "/b.mjs",
    ]  # fmt: skip


def test_resource_limits(tmp_path: Path) -> None:
    limits = resource_limits(spec(tmp_path), alone=False, data_bytes=None)
    assert limits == {"RLIMIT_NOFILE": 1024, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 512 << 20}
    more = resource_limits(spec(tmp_path), alone=True, data_bytes=5)
    assert more == limits | {"RLIMIT_NPROC": 1024, "RLIMIT_DATA": 5}
