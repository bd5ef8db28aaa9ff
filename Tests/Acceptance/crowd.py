"""The clients that nobody wants, in a process of their own: those who open connections and drop them, who take more of
them than there are places and say nothing, who send half a body, who send or read one byte a second. `soak.py` measures
the others beside them.
"""

import asyncio
import json
import os
import random
import socket
import struct

from hostile_requests import EMBEDDINGS, JSON, post, request
from server import HOST

DROPPED = 2_000  # connections of one attack
PER_WAVE = 100  # of them at once
SILENT, SILENT_SECONDS = 1_200, 10  # more than the places that a server has by default
HALF_BODIES, SLOW_WRITERS, SLOW_READERS = 100, 50, 20
HALF = request("POST", EMBEDDINGS, length=1000, headers=[f"Content-Type: {JSON}"]) + b'{"input":"'
# A megabyte, far more than the system's buffers take: the server has to hold it for whoever does not read.
LONG = post(EMBEDDINGS, {"input": ["x"] * 250})


async def connected(port, receive_buffer=None):
    connection = socket.socket()
    connection.setblocking(False)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(connection, (HOST, port)), 5)
        return connection
    except (OSError, asyncio.TimeoutError):
        connection.close()
        return None


async def drop_one(port, counts, chance):
    """Opens, says nothing, half a head, or half a body, and is gone: by FIN, or by RST."""
    connection = await connected(port)
    if connection is None:
        counts["refused"] += 1
        return
    with connection:
        counts["opened"] += 1
        bytes_sent = chance.choice([b"", b"", b"GET /v1/models HTT", HALF])
        try:
            if bytes_sent:
                await asyncio.get_running_loop().sock_sendall(connection, bytes_sent)
            await asyncio.sleep(chance.uniform(0, 0.2))
            if chance.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # the server was quicker


async def drop_all(port, seconds, counts, chance):
    """In waves, spread over the attack."""
    waves = DROPPED // PER_WAVE
    for _ in range(waves):
        pause = asyncio.create_task(asyncio.sleep(seconds / waves))
        await asyncio.gather(*(drop_one(port, counts, chance) for _ in range(PER_WAVE)))
        await pause


async def crowd_out(port, end, counts):
    """Takes all the places at once, says nothing, and leaves at once."""
    connections = []
    while len(connections) < SILENT and asyncio.get_running_loop().time() < end:
        connections += await asyncio.gather(*(connected(port) for _ in range(PER_WAVE)))
    await asyncio.sleep(SILENT_SECONDS)
    for connection in connections:
        if connection is not None:
            counts["silent"] += 1
            connection.close()


async def hold(port, head, piece, end, reads):
    """Sends `head`, then one byte a second; or reads one a second. Comes again when the server has ended it."""
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        connection = await connected(port, receive_buffer=4096 if reads else None)
        if connection is None:
            await asyncio.sleep(1)
            continue
        with connection:
            try:
                await loop.sock_sendall(connection, head)
                while loop.time() < end:
                    await asyncio.sleep(1)
                    if reads:
                        if not await loop.sock_recv(connection, 1):
                            break
                        continue
                    if piece:
                        await loop.sock_sendall(connection, piece)
                    if answered(connection):
                        break
            except OSError:
                pass  # the server ended it


def answered(connection):
    try:
        connection.recv(65536)
        return True  # an answer, or the end
    except BlockingIOError:
        return False


async def attack(port, seconds, chance):
    counts = {"opened": 0, "refused": 0, "silent": 0}
    end = asyncio.get_running_loop().time() + seconds
    slow_heads = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
    tasks = [drop_all(port, seconds, counts, chance), crowd_out(port, end, counts)]
    tasks += [hold(port, HALF, b"", end, False) for _ in range(HALF_BODIES)]
    for number in range(SLOW_WRITERS):
        tasks.append(hold(port, HALF if number % 2 else slow_heads, b"a", end, False))
    tasks += [hold(port, LONG, b"", end, True) for _ in range(SLOW_READERS)]
    await asyncio.gather(*tasks)
    return counts


def run(port, seconds, seed, results):
    """In a process of its own, which gives way to the server: what the crowd itself costs is not the server's doing."""
    os.nice(10)
    results.put(json.dumps(asyncio.run(attack(port, seconds, random.Random(seed)))))
