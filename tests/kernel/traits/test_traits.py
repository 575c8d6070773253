"""Traits by declarations of our own: shelves, books on them, notes in books, tags."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Service, Wire
from lambent.kernel.traits import (
    Document,
    Missing,
    Paging,
    Resource,
    Tagging,
    Verb,
    filtered_page,
    held,
    retried,
    select,
)
from lambent.store import open_store
from lambent.store.protocol import Change, Conflict, Delete, Put
from tests.kernel.fakes import ACCOUNT, REGION, context, running
from tests.loops import run

PAGING = Paging(input="Token", output="NextToken", limit="Max", more="More")
NO_SHELF = Missing("NoSuchShelf", "Shelf {id} is not there.", 404)
NO_BOOK = Missing("NoSuchBook", "Book {id} is not on {Shelf}.")


async def _shelf_arn(ctx: Ctx, request: Wire) -> str:
    arn: str = (await SHELF.fetch(ctx, request)).value["Arn"]
    return arn


TAGS = Tagging(resolve=_shelf_arn, tag="TagShelf", untag="UntagShelf", read="ShelfTags", pairs=True)


async def _empty(ctx: Ctx, request: Wire, record: Wire) -> tuple[Change, ...]:
    if await ctx.store.scan(ctx.key("Book", record["Shelf"].lower()), limit=1):
        raise AwsError("ShelfInUse", "There are books.")
    return (Delete(ctx.key("Sign", record["Shelf"].lower())),)


async def _dressed(_ctx: Ctx, verb: Verb, record: Wire) -> Wire:
    return record | {"By": verb}


SHELF = Resource(
    noun="Shelf",
    id="Shelf",
    fold=True,
    missing=NO_SHELF,
    exists=Missing("ShelfTaken", "{Shelf} is taken."),
    create="CreateShelf",
    read="GetShelf",
    list="ListShelves",
    update="UpdateShelf",
    updates={"PaintShelf": lambda _ctx, record, request: record | {"Colour": request["Colour"]}},
    delete="DeleteShelf",
    member="Shelf",
    items="Shelves",
    filter="Prefix",
    keep=lambda request, record: (
        record.get("Colour") == request.get("Colour", record.get("Colour"))
    ),
    paging=PAGING,
    list_max=50,
    list_usual=3,
    bad_token=Missing("BadToken", "{Token}?"),
    computed=lambda ctx, request: {"Arn": ctx.arn(f"shelf/{request['Shelf']}"), "Secret": None},
    removed=_empty,
    shown=_dressed,
    tagging=TAGS,
    arn="Arn",
    tags_shown=True,
)
BOOK = Resource(
    noun="Book",
    id="Title",
    parents=("Shelf",),
    parent=SHELF.fetch,
    fold=True,
    missing=NO_BOOK,
    create="AddBook",
    read="GetBook",
    list="ListBooks",
    delete="RemoveBook",
    items="Books",
    paging=PAGING,
)


async def _short(_ctx: Ctx, request: Wire) -> None:
    if len(request["Text"]) > 5:
        raise AwsError("TooLong", "Too long.")


NOTE = Document(
    noun="Note",
    ids=("Shelf", "Page"),
    missing=Missing("NoSuchNote", "No note on {Page}."),
    put="PutNote",
    read="GetNote",
    delete="DeleteNote",
    list="ListNotes",
    items="Pages",
    paging=PAGING,
    fold=True,
    parent=SHELF.fetch,
    check=_short,
    shown=lambda note: note | {"Text": note["Text"].upper()},
)
SIGN = Document(
    noun="Sign", ids=("Shelf",), missing=None, put="PutSign", read="GetSign", delete="DeleteSign",
    forgiving=True,
)  # fmt: skip
PAGED_TAGS = Tagging(
    resolve=_shelf_arn, tag="T", untag="U", read="R", tags="Labels", keys="Labels", paging=PAGING
)
SERVICE = Service(name="fake", parts=(SHELF, BOOK, NOTE, SIGN, TAGS, PAGED_TAGS))
SERVED = SERVICE.operations


@asynccontextmanager
async def library() -> AsyncIterator[Ctx]:
    async with running() as platform:
        yield context(platform)


async def call(ctx: Ctx, operation: str, **request: Any) -> Wire:
    return await SERVED[operation](ctx, request)


async def refused(ctx: Ctx, operation: str, **request: Any) -> str:
    with pytest.raises(AwsError) as caught:
        await call(ctx, operation, **request)
    return str(caught.value)


async def test_the_life_of_a_resource() -> None:
    async with library() as ctx:
        tags = [{"Key": "a", "Value": "b"}]
        made = (await call(ctx, "CreateShelf", Shelf="Top", Secret="x", Tags=tags))["Shelf"]
        arn = f"arn:aws:fake:{REGION}:{ACCOUNT}:shelf/Top"
        assert made == {"Shelf": "Top", "Arn": arn, "By": "create", "Tags": tags}
        assert await refused(ctx, "CreateShelf", Shelf="TOP") == "ShelfTaken: TOP is taken."
        await call(ctx, "UpdateShelf", Shelf="top", Height=3)
        await call(ctx, "PaintShelf", Shelf="top", Colour="red")
        got = (await call(ctx, "GetShelf", Shelf="TOP"))["Shelf"]
        assert (got["Height"], got["Colour"], got["Tags"]) == (3, "red", tags)
        await call(ctx, "DeleteShelf", Shelf="top")
        assert await refused(ctx, "GetShelf", Shelf="top") == "NoSuchShelf: Shelf top is not there."
        assert "Tags" not in (await call(ctx, "CreateShelf", Shelf="Top"))["Shelf"]


async def test_a_child_names_its_parent() -> None:
    async with library() as ctx:
        assert "NoSuchShelf" in await refused(ctx, "AddBook", Shelf="s", Title="t")
        await call(ctx, "CreateShelf", Shelf="s")
        first = await call(ctx, "AddBook", Shelf="s", Title="T")
        assert await call(ctx, "AddBook", Shelf="s", Title="T") == first
        assert "NoSuchBook" in await refused(ctx, "AddBook", Shelf="s", Title="T", Pages=3)
        assert "ShelfInUse" in await refused(ctx, "DeleteShelf", Shelf="s")
        assert (
            await refused(ctx, "GetBook", Shelf="s", Title="u") == "NoSuchBook: Book u is not on s."
        )
        assert "NoSuchShelf" in await refused(ctx, "GetBook", Shelf="x", Title="u")
        assert "NoSuchShelf" in await refused(ctx, "ListBooks", Shelf="x")
        await call(ctx, "RemoveBook", Shelf="S", Title="t")
        await call(ctx, "DeleteShelf", Shelf="s")


async def test_no_child_is_left_without_its_parent() -> None:
    async with library() as ctx:
        for number in range(20):
            shelf = f"s{number}"
            await call(ctx, "CreateShelf", Shelf=shelf)
            results = await asyncio.gather(
                call(ctx, "AddBook", Shelf=shelf, Title="t"),
                call(ctx, "DeleteShelf", Shelf=shelf),
                call(ctx, "PutNote", Shelf=shelf, Page="1", Text="x"),
                return_exceptions=True,
            )
            there = await SHELF.find(ctx, {"Shelf": shelf})
            book = await BOOK.find(ctx, {"Shelf": shelf, "Title": "t"})
            assert all(
                not isinstance(one, Exception) or isinstance(one, AwsError) for one in results
            )
            if book is not None:
                assert there is not None


async def test_many_updates_of_one_record_all_happen() -> None:
    async with library() as ctx:
        await call(ctx, "CreateShelf", Shelf="s")
        names = [f"N{number}" for number in range(40)]
        await asyncio.gather(*(call(ctx, "UpdateShelf", Shelf="s", **{n: 1}) for n in names))
        record = (await call(ctx, "GetShelf", Shelf="s"))["Shelf"]
        assert set(names) <= record.keys()
        pairs = ([{"Key": name, "Value": "v"}] for name in names)
        await asyncio.gather(*(call(ctx, "TagShelf", Shelf="s", Tags=one) for one in pairs))
        assert len((await call(ctx, "ShelfTags", Shelf="s"))["Tags"]) == 40


async def test_lists() -> None:
    async with library() as ctx:
        names = [f"{letter}{number}" for letter in "AB" for number in range(5)]
        for name in names:
            await call(ctx, "CreateShelf", Shelf=name, Colour="red" if "3" in name else "blue")

        async def listed(**request: Any) -> list[str]:
            found: list[str] = []
            token: Wire = {}
            while True:
                page = await call(ctx, "ListShelves", **request, **token)
                found += [one["Shelf"] for one in page["Shelves"]]
                assert page["More"] is ("NextToken" in page)
                if not page["More"]:
                    return found
                token = {"Token": page["NextToken"]}

        assert len((await call(ctx, "ListShelves"))["Shelves"]) == 3
        for most in (1, 2, 10, 100):
            assert await listed(Max=most) == names
            assert await listed(Max=most, Prefix="b") == names[5:]
            assert await listed(Max=most, Colour="red") == ["A3", "B3"]
        assert await refused(ctx, "ListShelves", Token="x") == "BadToken: x?"
        with pytest.raises(AwsError):
            await filtered_page(ctx, ctx.key("Shelf"), "x", 3, "")
        rows, _ = await filtered_page(ctx, ctx.key("Shelf"), None, 3, "b")
        assert [row.value["Shelf"] for row in rows] == ["B0", "B1", "B2"]


async def test_documents() -> None:
    async with library() as ctx:
        assert "NoSuchShelf" in await refused(ctx, "PutNote", Shelf="s", Page="1", Text="a")
        await call(ctx, "CreateShelf", Shelf="s")
        for page in "321":
            await call(ctx, "PutNote", Shelf="S", Page=page, Text="a")
        await call(ctx, "PutNote", Shelf="s", Page="1", Text="b")
        assert (await call(ctx, "GetNote", Shelf="s", Page="1"))["Text"] == "B"
        assert "TooLong" in await refused(ctx, "PutNote", Shelf="s", Page="1", Text="abcdef")
        first = await call(ctx, "ListNotes", Shelf="s", Max=2)
        assert first["Pages"] == ["1", "2"]
        rest = await call(ctx, "ListNotes", Shelf="s", Token=first["NextToken"])
        assert rest == {"Pages": ["3"], "More": False}
        await call(ctx, "DeleteNote", Shelf="s", Page="1")
        for operation in ("GetNote", "DeleteNote"):
            assert await refused(ctx, operation, Shelf="s", Page="1") == "NoSuchNote: No note on 1."
        assert await call(ctx, "GetSign", Shelf="any") == {}
        assert await call(ctx, "DeleteSign", Shelf="any") == {}
        await call(ctx, "PutSign", Shelf="any", Text="t")
        assert (await call(ctx, "GetSign", Shelf="any"))["Text"] == "t"


async def test_tags_are_paged_and_limited() -> None:
    async with library() as ctx:
        await call(ctx, "CreateShelf", Shelf="s")
        await call(ctx, "T", Shelf="s", Labels={"b": "1", "a": "2", "c": "3"})
        first = await call(ctx, "R", Shelf="s", Max=2)
        assert (first["Labels"], first["More"]) == ({"b": "1", "a": "2"}, True)
        rest = await call(ctx, "R", Shelf="s", Token=first["NextToken"])
        assert (rest["Labels"], rest["More"]) == ({"c": "3"}, False)
        await call(ctx, "U", Shelf="s", Labels=["a", "b", "c"])
        assert (await call(ctx, "R", Shelf="s"))["Labels"] == {}
        await call(ctx, "U", Shelf="s", Labels=["a"])
        many = {f"k{number}": "" for number in range(51)}
        assert "TooManyTagsException" in await refused(ctx, "T", Shelf="s", Labels=many)


async def test_retries_end() -> None:
    tries = itertools.count()

    @retried
    async def always(ctx: Ctx, request: Wire) -> Wire:
        next(tries)
        raise Conflict(("k",))

    async with library() as ctx:
        with pytest.raises(Conflict):
            await always(ctx, {})
    assert next(tries) == 100
    assert held(None) == ()


names = st.text("ab", min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.sets(names, max_size=12), st.lists(st.sets(names, max_size=3)), st.integers(1, 4))
def test_paging_shows_what_stays_exactly_once(
    start: set[str], writes: list[set[str]], limit: int
) -> None:
    """Pages with a filter, while records come and go between them."""

    async def scenario() -> None:
        store = await open_store(None)
        prefix = ("a", "r", "s", "N")
        now = set(start)
        await store.commit(*(Put((*prefix, name), {"n": name}) for name in start))
        always, seen, token = set(start), [], None
        pending = iter(writes)
        while True:
            rows, token = await select(
                store, prefix, token=token, limit=limit, keep=lambda one: one["n"][0] == "a"
            )
            seen += [row.value["n"] for row in rows]
            if token is None:
                break
            for name in next(pending, set()):
                change = (
                    Delete((*prefix, name)) if name in now else Put((*prefix, name), {"n": name})
                )
                now ^= {name}
                always.discard(name)
                await store.commit(change)
        await store.close()
        assert seen == sorted(set(seen))
        assert {name for name in always if name[0] == "a"} <= set(seen)

    run(scenario())
