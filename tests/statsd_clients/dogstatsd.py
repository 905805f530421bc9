"""What tests/statsd.rs expects of Debian's python3-aiodogstatsd."""

import asyncio
import sys

import aiodogstatsd


async def main():
    client = aiodogstatsd.Client(
        host="127.0.0.1", port=int(sys.argv[1]), namespace="dog", constant_tags={"env": "prod"}
    )
    await client.connect()
    for _ in range(50):
        client.increment("hits", value=2, tags={"host": "a b"})
    client.decrement("hits", value=1, tags={"host": "a b"})
    client.gauge("level", value=4.5)
    for milliseconds in (10, 20, 30, 40):
        client.timing("wait", value=milliseconds)
    client.histogram("size", value=7)
    client.distribution("size", value=9)
    await client.close()


asyncio.run(main())
