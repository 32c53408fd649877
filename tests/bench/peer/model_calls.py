"""A peer's client of the model: keeps calls in flight until it is ended. What it reaches is counted at the model."""
import argparse
import asyncio
import json
import ssl
import sys

import uvloop

TIMEOUT_SECONDS = 120


def fail(what):
    sys.exit(f"model_calls: {what}")


async def aiohttp_client(options):
    import aiohttp
    context = ssl.create_default_context(cafile=options.ca) if options.ca else None
    # No limit of connections, none of time between them, and no cookies to look through.
    connector = aiohttp.TCPConnector(limit=0, ssl=context or True, keepalive_timeout=600)
    session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                                    cookie_jar=aiohttp.DummyCookieJar(), headers=options.headers)

    async def call():
        async with session.post(options.url, data=options.body) as answer:
            if answer.status != 200:
                fail(f"status {answer.status}")
            return json.loads(await answer.read())
    return call


async def httpx_client(options):
    import httpx
    # Its pool looks through all connections and all callers at each event: with 200 connections it makes 12 calls a
    # second, with 1,000 none. These are its own limit, all kept alive.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=600)
    client = httpx.AsyncClient(limits=limits, timeout=TIMEOUT_SECONDS, trust_env=False, verify=options.ca or True,
                               headers=options.headers)

    async def call():
        answer = await client.post(options.url, content=options.body)
        if answer.status_code != 200:
            fail(f"status {answer.status_code}")
        return json.loads(answer.content)
    return call


CLIENTS = {"aiohttp": aiohttp_client, "httpx": httpx_client}


async def keep_calling(call):
    while True:
        answer = await call()
        if not answer["choices"][0]["message"]["content"]:
            fail("an empty answer")


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", choices=CLIENTS, required=True)
    parser.add_argument("--url", required=True, help="…/v1/chat/completions")
    parser.add_argument("--body", required=True, help="file with the body of each call")
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--ca", help="PEM file of the certificate to trust")
    options = parser.parse_args()
    options.headers = {"Content-Type": "application/json", "Authorization": "Bearer bench"}
    with open(options.body, "rb") as file:
        options.body = file.read()
    call = await CLIENTS[options.client](options)
    await asyncio.gather(*(keep_calling(call) for _ in range(options.in_flight)))


if __name__ == "__main__":
    uvloop.run(main())
