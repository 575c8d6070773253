"""The whole store against a dict, through any sequence of operations and restarts."""

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lambent.store import open_store
from lambent.store.protocol import (
    Append,
    Change,
    Conflict,
    Delete,
    Entry,
    Key,
    Put,
    Record,
    Trim,
)

PARTS = st.sampled_from(["", "a", "aa", "a\0", "\0", "é", "z", "\U0001f40c", "\uffff", "b/c"])
KEYS = st.lists(PARTS, min_size=1, max_size=3).map(tuple)
VALUES = st.dictionaries(
    st.text("xyz", max_size=2),
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=5)
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.lists(st.integers(0, 9), max_size=3),
    max_size=3,
)
CONTENTS = [bytes([65 + n]) * size for n, size in enumerate((0, 10, 5000, 70_000, 1_200_000))]
LOGS = st.sampled_from([("log",), ("log", "\0"), ("a", "b")])


def utf8(key: Key) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in key)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = uvloop.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="lambent-model-"))
        self.records: dict[Key, tuple[int, dict[str, Any], tuple[int, ...]]] = {}
        self.logs: dict[Key, tuple[int, list[Entry]]] = {}
        self.store = self.wait(open_store(self.folder))

    def wait(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        assert self.wait(self.store.verify()) == []
        self.wait(self.store.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    async def blob(self, number: int) -> Any:
        writer = self.store.blobs.writer()
        await writer.write(CONTENTS[number])
        return await writer.finish()

    def put(self, key: Key, value: dict[str, Any], expect: int | None, blobs: set[int]) -> None:
        made = [self.wait(self.blob(number)) for number in sorted(blobs)]
        version = self.records.get(key, (0,))[0]
        try:
            done = self.wait(self.store.commit(Put(key, value, expect, tuple(made))))
        except Conflict as error:
            assert error.key == key  # noqa: PT017 - not raising is right as well
            assert expect not in {None, version}
        else:
            assert expect in {None, version}
            assert done == [version + 1]
            self.records[key] = (version + 1, value, tuple(sorted(blobs)))
        for each in made:
            self.store.blobs.release(each.sha256)

    @rule(key=KEYS, value=VALUES, expect=st.none() | st.integers(0, 2))
    def put_plain(self, key: Key, value: dict[str, Any], expect: int | None) -> None:
        self.put(key, value, expect, set())

    @rule(key=KEYS, blobs=st.sets(st.integers(0, len(CONTENTS) - 1), max_size=3))
    def put_with_blobs(self, key: Key, blobs: set[int]) -> None:
        self.put(key, {}, None, blobs)

    @rule(key=KEYS, expect=st.none() | st.integers(0, 2))
    def delete(self, key: Key, expect: int | None) -> None:
        version = self.records.get(key, (0,))[0]
        try:
            self.wait(self.store.commit(Delete(key, expect)))
        except Conflict:
            assert expect not in {None, version}
        else:
            assert expect in {None, version}
            self.records.pop(key, None)

    @rule(
        changes=st.lists(
            st.builds(Put, KEYS, VALUES, st.none() | st.integers(0, 1))
            | st.builds(Delete, KEYS, st.none() | st.integers(0, 1))
            | st.builds(Append, LOGS, st.binary(max_size=4)),
            max_size=5,
        )
    )
    def commit_many(self, changes: list[Change]) -> None:
        records, logs, numbers = dict(self.records), dict(self.logs), []
        held = True
        for change in changes:
            if isinstance(change, Append):
                upcoming, entries = logs.get(change.log, (1, []))
                logs[change.log] = (upcoming + 1, [*entries, Entry(upcoming, change.value)])
                numbers.append(upcoming)
                continue
            assert isinstance(change, Put | Delete)
            version = records.get(change.key, (0,))[0]
            held = held and change.expect in {None, version}
            records.pop(change.key, None)
            if isinstance(change, Put):
                records[change.key] = (version + 1, change.value, ())
            numbers.append(version + 1 if isinstance(change, Put) else 0)
        try:
            done = self.wait(self.store.commit(*changes))
        except Conflict:
            assert not held
        else:
            assert held
            assert done == numbers
            self.records, self.logs = records, logs

    @rule(log=LOGS, upto=st.none() | st.integers(-1, 8))
    def trim(self, log: Key, upto: int | None) -> None:
        self.wait(self.store.commit(Trim(log, upto)))
        if upto is None:
            self.logs.pop(log, None)
        elif log in self.logs:
            upcoming, entries = self.logs[log]
            self.logs[log] = (upcoming, [entry for entry in entries if entry.seq > upto])

    @rule(prefix=st.lists(PARTS, min_size=1, max_size=2).map(tuple))
    def reset(self, prefix: Key) -> None:
        self.wait(self.store.reset([prefix]))
        kept = {key: held for key, held in self.records.items() if key[: len(prefix)] != prefix}
        self.records = kept
        self.logs = {k: held for k, held in self.logs.items() if k[: len(prefix)] != prefix}

    @rule()
    def reopen(self) -> None:
        self.wait(self.store.close())
        self.store = self.wait(open_store(self.folder))

    @rule(
        prefix=st.lists(PARTS, max_size=2).map(tuple),
        after=st.none() | KEYS,
        limit=st.integers(1, 4),
        reverse=st.booleans(),
    )
    def scan(self, prefix: Key, after: Key | None, limit: int, reverse: bool) -> None:
        found = self.wait(self.store.scan(prefix, after=after, limit=limit, reverse=reverse))
        wanted = sorted(
            (key for key in self.records if key[: len(prefix)] == prefix), key=utf8, reverse=reverse
        )
        if after is not None:
            wanted = [
                key
                for key in wanted
                if (utf8(key) < utf8(after) if reverse else utf8(key) > utf8(after))
            ]
        assert found == [Record(key, *self.records[key][:2]) for key in wanted[:limit]]

    @rule(log=LOGS, after=st.integers(0, 9), limit=st.integers(1, 4), reverse=st.booleans())
    def read_log(self, log: Key, after: int, limit: int, reverse: bool) -> None:
        entries = self.logs.get(log, (1, []))[1]
        if reverse:
            wanted = [entry for entry in entries[::-1] if not after or entry.seq < after]
        else:
            wanted = [entry for entry in entries if entry.seq > after]
        found = self.wait(self.store.read_log(log, after=after, limit=limit, reverse=reverse))
        assert found == wanted[:limit]

    @rule(key=KEYS)
    def get(self, key: Key) -> None:
        held = self.records.get(key)
        assert self.wait(self.store.get(key)) == (Record(key, *held[:2]) if held else None)

    @invariant()
    def names_and_counts(self) -> None:
        assert list(self.wait(self.store.logs(()))) == sorted(self.logs, key=utf8)
        assert self.wait(self.store.count(())) == len(self.records)

    @invariant()
    def exactly_the_blobs_referred_to_are_there(self) -> None:
        self.wait(self.store.commit())  # sweeps are posted
        wanted = {number for held in self.records.values() for number in held[2]}
        for number, content in enumerate(CONTENTS):
            sha256 = hashlib.sha256(content).hexdigest()
            try:
                assert self.wait(self.store.blobs.read(sha256)) == content
                assert number in wanted
            except KeyError:
                assert number not in wanted
        large = {number for number in wanted if len(CONTENTS[number]) > 65_536}
        assert sum(1 for file in self.folder.glob("blobs/??/*") if file.is_file()) == len(large)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
