"""A small HTTP/1.1 client on asyncio's streams: one keep-alive connection, one call at a time."""

import asyncio
import json
import urllib.parse

CONNECT_S = 1.0  # a paused server takes connections until its queue is full; a dead one refuses at once


class Broken(Exception):
    """No whole answer came: the connection was refused, cut or silent for too long."""


class Connection:
    """To one server; reconnects at the next call after anything broke."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.reader = self.writer = None

    async def call(self, method, path, body=None, headers=(), timeout=5.0):
        """(status, headers with lower-case names, parsed JSON or None)."""
        try:
            if self.writer is None:
                opening = asyncio.open_connection(self.host, self.port)
                self.reader, self.writer = await asyncio.wait_for(opening, CONNECT_S)
            self.writer.write(self.encode(method, path, body, headers))
            return await asyncio.wait_for(self.read_answer(), timeout)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.LimitOverrunError) as error:
            self.close()
            raise Broken(f"{type(error).__name__}: {error}") from None
        except asyncio.CancelledError:
            self.close()
            raise

    def encode(self, method, path, body, headers):
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if body is not None:
            lines += [f"Content-Length: {len(content)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content

    async def read_answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        content = await self.reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, json.loads(content) if content else None

    async def give_up(self, method, path, body, headers):
        """Sends a call and closes the connection without waiting for the answer."""
        try:
            opening = asyncio.open_connection(self.host, self.port)
            _, writer = await asyncio.wait_for(opening, CONNECT_S)
            writer.write(self.encode(method, path, body, headers))
            await asyncio.wait_for(writer.drain(), CONNECT_S)
            writer.close()
        except (OSError, asyncio.TimeoutError):
            pass  # It was never meant to be answered.

    def close(self):
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None
