"""The full check finds each kind of damage and names where it is."""

import os
from pathlib import Path

from lambent.store import open_store
from lambent.store.protocol import Append, Put


async def test_each_kind_of_damage_is_named(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    writer = store.blobs.writer()
    await writer.write(os.urandom(200_000))
    large = await writer.finish()
    small = store.blobs.small(b"small")
    await store.commit(
        Put(("a",), {"n": 1}, blobs=(large, small)), Put(("b",), {}), Append(("log",), b"x")
    )
    store.blobs.release(large.sha256)
    assert await store.verify() == []
    store._db.execute(
        "UPDATE records SET value = x'80', crc = 1 WHERE blobs IS NOT NULL;"
        "UPDATE records SET value = x'c1' WHERE blobs IS NULL;"
        "UPDATE entries SET crc = 5;"
        "UPDATE blobs SET refs = 2, data = x'00' WHERE data IS NOT NULL;"
    )
    (file,) = tmp_path.glob("blobs/??/*")
    file.write_bytes(b"other")
    text = "\n".join(await store.verify())
    assert "checksum is wrong (key: ('a',))" in text
    assert "does not decode" in text
    assert "log entry's checksum" in text
    assert f"blob {small.sha256} has 1 references and counts 2" in text
    assert text.count("does not have its hash") == 2
    assert str(file) in text
    file.unlink()
    store._db.execute("DELETE FROM blobs WHERE data IS NOT NULL")
    text = "\n".join(await store.verify())
    assert f"{file}: No such file" in text
    assert f"blob {small.sha256} is referred to and not there" in text
    await store.close()
