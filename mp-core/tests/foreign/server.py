"""A server of the interface Foo, by pycapnp. `server.py CASE -ipcfd N` serves until the client leaves; the case is
the client's affair, but for what this side can see of it."""

import sys

import capnp
from common import ThreadMap, connection, foo, run


class Counter(foo.Counter.Server):
    """Gives 1, 2, 3, …; says that it was destroyed."""

    def __init__(self, log):
        self.count = 0
        self.log = log

    async def next(self, **kwargs):
        self.count += 1
        return self.count

    async def name(self, **kwargs):
        return "a counter in Python"

    async def destroy(self, **kwargs):
        self.log.append("destroyed")


class Foo(foo.Foo.Server):
    def __init__(self):
        self.ours = ThreadMap()
        self.theirs = None
        self.saved = None
        self.log = []
        self.seen = []

    async def construct(self, threadMap, **kwargs):
        self.theirs = threadMap
        return self.ours

    async def add(self, context, a, b, **kwargs):
        # The thread that is named is one of those made here, and the one to call back on is the client's.
        self.seen.append((await context.thread.getName()).result)
        return a + b

    async def addDirect(self, a, b, **kwargs):
        return 10 * a + b

    async def echoData(self, data, _context, **kwargs):
        _context.results.result = bytes(data)

    async def find(self, key, _context, **kwargs):
        if key.lstrip("-").isdigit():
            _context.results.result = int(key)
            _context.results.hasResult = True

    async def findShape(self, key, _context, **kwargs):
        if key:
            _context.results.init("result").title = key

    async def divide(self, a, b, _context, **kwargs):
        if b == 0:
            _context.results.error = "division by zero"
        else:
            _context.results.result = a // b

    async def check(self, text, _context, **kwargs):
        _context.results.result = text == ""
        _context.results.reason = "bad-" + text
        _context.results.debug = text

    async def callback(self, context, callback, n, **kwargs):
        calling_back = {"thread": context.callbackThread, "callbackThread": context.thread}
        return (await callback.call(context=calling_back, n=n)).result

    async def save(self, callback, **kwargs):
        self.saved = callback

    async def callSaved(self, n, **kwargs):
        # No thread of the client waits for this call that we could name: one is made for it.
        thread = self.theirs.makeThread("for a saved callback").result
        return (await self.saved.call(context={"thread": thread}, n=n)).result

    async def forget(self, **kwargs):
        self.saved = None

    async def makeCounter(self, **kwargs):
        return Counter(self.log)

    async def giveBack(self, callback, **kwargs):
        return callback

    async def maybeCall(self, context, callback=None, **kwargs):
        try:
            await callback.call(context={"thread": context.callbackThread}, n=1)
        except capnp.KjException as error:
            if "null capability" in str(error):
                return False
            raise
        return True

    async def fail(self, text, **kwargs):
        raise capnp.KjException(text) if text.startswith("kj") else RuntimeError(text)

    async def limits(self, timeout, count, wanted, **kwargs):
        return [str(wanted).lower(), str(timeout), str(count)]

    async def transactions(self, ids, _context, **kwargs):
        _context.results.result = [bytes(one) for one in ids]

    async def sizes(self, map, names, _context, **kwargs):
        pairs = [{"first": one.first, "second": one.second} for one in map]
        pairs += [{"first": one.first, "second": len(one.second)} for one in names]
        _context.results.result = pairs

    async def threadName(self, **kwargs):
        # What this side saw, for the client to judge.
        return ", ".join(self.ours.made + self.log)

    async def narrow(self, value, **kwargs):
        return value


async def passes(self, shape, _context, **kwargs):
    _context.results.result = shape


# `pass` is a word of Python's.
setattr(Foo, "pass", passes)


async def serve():
    stream = await connection()
    server = capnp.TwoPartyServer(stream, bootstrap=Foo())
    await server.on_disconnect()


if __name__ == "__main__":
    run({sys.argv[1]: serve})
