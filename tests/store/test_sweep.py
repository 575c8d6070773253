"""What a crash leaves behind goes at the next start."""

import os
from pathlib import Path

from lambent.store import open_store
from lambent.store.protocol import Put


async def test_leftovers_go_and_the_rest_stays(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    writer = store.blobs.writer()
    await writer.write(os.urandom(200_000))
    blob = await writer.finish()
    await store.commit(Put(("a",), {}, blobs=(blob, store.blobs.small(b"gone"))))
    store.blobs.release(blob.sha256)
    store._db.execute("UPDATE blobs SET refs = 0 WHERE data IS NOT NULL")
    await store.close()
    (tmp_path / "blobs" / "tmp" / "half").write_bytes(b"x")
    orphan = tmp_path / "blobs" / blob.sha256[:2] / ("ab" * 32)
    orphan.write_bytes(b"x")
    store = await open_store(tmp_path)
    assert not orphan.exists()
    assert not list((tmp_path / "blobs" / "tmp").iterdir())
    assert len(await store.blobs.read(blob.sha256)) == 200_000
    assert store._db.execute("SELECT count(*) FROM blobs").get == 1
    await store.close()
