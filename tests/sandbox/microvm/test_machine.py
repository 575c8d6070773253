"""How QEMU is started: confined, and with nothing of the host."""

from pathlib import Path

from lambent.sandbox.microvm.machine import Plan, command, confined, missing_programs


def plan(**changes: object) -> Plan:
    fields: dict[str, object] = {
        "accelerator": "tcg",
        "memory_mib": 256,
        "cpus": 1,
        "memory": 5,
        "template": False,
        "disks": [(6, False), (7, True)],
        "boot": None,
    }
    return Plan(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_restored_machine_changes_only_its_own_copy() -> None:
    words = command(plan(), 8, 9)
    assert "memory-backend-file,id=ram,size=256M,mem-path=/proc/self/fd/5,share=off" in words
    assert words[words.index("-incoming") + 1] == "defer"
    assert "-kernel" not in words
    sandbox = words[words.index("-sandbox") + 1]
    assert "spawn=deny" in sandbox
    assert "elevateprivileges=deny" in sandbox
    assert not [word for word in words if "netdev" in word or "nic" in word or "virtfs" in word]
    disks = [word for word in words if "driver=raw" in word]
    assert [disk.rpartition("=")[2] for disk in disks] == ["on", "off"]


def test_a_booted_guest_is_told_the_clock_under_emulation() -> None:
    boot = Path("/k"), Path("/i")
    assert "tsc_early_khz=1234" in command(plan(boot=boot, template=True, tsc_khz=1234), 8, 9)[-1]
    words = command(plan(boot=boot, template=True, accelerator="kvm"), 8, 9)
    assert "tsc" not in words[-1]
    assert words[words.index("-cpu") + 1] == "host"


def test_it_dies_with_the_server_and_is_somebody_else() -> None:
    words = confined(["qemu"], 4321)
    assert words[-1] == "qemu"
    assert words[words.index("--pdeathsig") + 1] == "KILL"
    assert words[words.index("--reuid") + 1] == "4321"
    assert "--no-new-privs" in words
    assert "--clear-groups" in words
    assert "--reuid" not in confined(["qemu"], None)


def test_what_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    found = missing_programs(str(tmp_path))
    assert all("install the Debian package" in text for text in found)
