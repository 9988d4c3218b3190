import asyncio
import contextlib
import time

import zmq
import zmq.asyncio

from moe_labs.notebooks import client


async def wait_for_a_message(looks_again):
    """What a socket receives if something is sent through it while the message comes."""
    with zmq.asyncio.Context() as context:
        kernel = context.socket(zmq.PAIR)
        port = kernel.bind_to_random_port("tcp://127.0.0.1")
        socket = context.socket(zmq.PAIR)
        socket.connect(f"tcp://127.0.0.1:{port}")
        with contextlib.closing(kernel), contextlib.closing(socket):
            await kernel.send(b"hello")
            await socket.recv()
            waiting = asyncio.ensure_future(socket.recv())
            await asyncio.sleep(0.05)
            zmq.Socket.shadow(kernel.underlying).send(b"the cell has ended")
            time.sleep(0.2)  # the message is there, but asyncio has had no turn yet
            zmq.Socket.shadow(socket.underlying).send(b"state of a widget")
            looking = asyncio.ensure_future(client.look_again(socket)) if looks_again else waiting
            done, _ = await asyncio.wait([waiting], timeout=2)
            looking.cancel()
            waiting.cancel()
            return waiting.result() if done else None


def test_a_message_that_comes_while_a_widget_sends_is_heard():
    assert asyncio.run(wait_for_a_message(looks_again=False)) is None, "pyzmq has mended this"
    assert asyncio.run(wait_for_a_message(looks_again=True)) == b"the cell has ended"
