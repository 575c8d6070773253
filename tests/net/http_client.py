"""A raw HTTP client for tests: it sends exactly the bytes it is told to, and reads answers back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

from lambent.net import Handler, HttpLimits, HttpServer, Request, Response, serve


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, server: HttpServer) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next answer's head; repeated headers are joined by `,`."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = text[:-4].split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = (
                f"{headers[name.lower()]},{value}" if name.lower() in headers else value
            )
        return int(status_line.split(" ")[1]), headers

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole."""
        status, headers = await self.head()
        if method == "HEAD" or status in (100, 204, 304):
            return Answer(status, headers, b"")
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = b"".join([chunk async for chunk in self.chunks()])
        else:
            body = await self.reader.read()
        return Answer(status, headers, body)

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readexactly(2) == b"\r\n"

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer(data.split(b" ", 1)[0].decode("latin-1"))

    async def at_end(self) -> bool:
        """Whether the server closes without another byte."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(handler: Handler, limits: HttpLimits | None = None) -> AsyncIterator[HttpServer]:
    server = await serve(handler, limits=limits)
    try:
        yield server
    finally:
        await server.close()
        assert server.connection_count == 0


@contextlib.asynccontextmanager
async def connected(
    handler: Handler, limits: HttpLimits | None = None
) -> AsyncIterator[tuple[HttpServer, Client]]:
    async with serving(handler, limits) as server:
        client = await Client.to(server)
        try:
            yield server, client
        finally:
            await client.close()


async def echo(request: Request) -> Response:
    """Method, path and query in headers, the body in the body."""
    body = await request.body.read(16_000_000)
    return Response(200, [("X-Was", f"{request.method} {request.path} {request.query}")], body)


async def turns(count: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let everything run until `condition` holds; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0)


def head(method: str = "GET", path: str = "/", *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode(
        "latin-1"
    )
