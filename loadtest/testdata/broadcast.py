"""A broadcast server with the library websockets: every client receives each message. DROP=n drops every nth send."""

import asyncio
import os
import sys

from websockets.asyncio.server import serve

drop = int(os.environ["DROP"])
sends = dropped = 0
clients = set()


async def handle(client):
    global sends, dropped
    clients.add(client)
    try:
        async for message in client:
            for receiver in list(clients):
                sends += 1
                if drop and sends % drop == 0:
                    dropped += 1
                else:
                    await receiver.send(message)
    finally:
        clients.discard(client)


async def main():
    async with serve(handle, "127.0.0.1", 0) as server:
        print("PORT", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print("DROPPED", dropped, flush=True)


asyncio.run(main())
