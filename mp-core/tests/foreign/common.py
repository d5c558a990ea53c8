"""What both sides of the Python peer share: the schema, the connection, threads."""

import asyncio
import os
import socket
import sys

import capnp

capnp.remove_import_hook()

_here = os.path.dirname(os.path.abspath(__file__))
_schemas = os.path.join(_here, "..", "..", "..", "mp-codegen", "schema")
foo = capnp.load(os.path.join(_here, "..", "foo", "foo.capnp"), imports=[_schemas])
proxy = capnp.load(os.path.join(_schemas, "mp", "proxy.capnp"), imports=[_schemas])


class Thread(proxy.Thread.Server):
    """A thread in name alone: this peer has one."""

    def __init__(self, name):
        self.name = name

    async def getName(self, **kwargs):
        return self.name


class ThreadMap(proxy.ThreadMap.Server):
    """Counts the threads that it was asked for."""

    def __init__(self):
        self.made = []

    async def makeThread(self, name, **kwargs):
        self.made.append(name)
        return Thread(name)


async def connection():
    """The stream on the descriptor that `-ipcfd` names."""
    fd = int(sys.argv[sys.argv.index("-ipcfd") + 1])
    sock = socket.socket(fileno=fd)
    return await capnp.AsyncIoStream.create_unix_connection(sock=sock)


def text_of(error):
    """The reason of an exception of the peer, without what pycapnp puts around it."""
    return getattr(error, "description", str(error))


async def raises(awaitable, *texts):
    """Checks that a call fails with a reason that contains each of the texts."""
    try:
        await awaitable
    except capnp.KjException as error:
        reason = text_of(error)
        for text in texts:
            assert text in reason, f"'{text}' is not in: {reason}"
        return
    raise AssertionError(f"no exception, but expected one with {texts}")


def run(cases):
    """Runs the case that the first argument names."""
    asyncio.run(capnp.run(cases[sys.argv[1]]()))
