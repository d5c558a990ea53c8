"""A client of the interface Foo, by pycapnp. `client.py CASE -ipcfd N` exits with 0 if the case holds."""

import asyncio

import capnp
from common import Thread, ThreadMap, connection, foo, raises, run


class Callback(foo.Callback.Server):
    """Adds `add` and counts."""

    def __init__(self, add=1, then=None):
        self.add = add
        self.calls = 0
        self.contexts = []
        self.then = then

    async def call(self, n, context, **kwargs):
        self.calls += 1
        self.contexts.append(context.callbackThread is not None)
        if self.then:
            await self.then()
        return n + self.add


class Failing(foo.Callback.Server):
    async def call(self, n, **kwargs):
        raise RuntimeError("the callback fails")


class Session:
    """A connection, constructed, with one thread made."""

    async def __aenter__(self):
        self.client = capnp.TwoPartyClient(await connection())
        self.root = self.client.bootstrap().cast_as(foo.Foo)
        self.ours = ThreadMap()
        self.map = (await self.root.construct(threadMap=self.ours)).threadMap
        self.thread = (await self.map.makeThread("first")).result
        self.context = {"thread": self.thread, "callbackThread": self.thread}
        return self

    async def __aexit__(self, *_):
        pass

    def on(self, thread):
        return {"thread": thread}


async def plain_calls():
    async with Session() as s:
        assert (await s.root.add(context=s.context, a=40, b=2)).result == 42
        assert (await s.root.add(context=s.context, a=-2147483648, b=-1)).result == 2147483647
        assert (await s.root.addDirect(a=2, b=1)).result == 21
        assert (await s.thread.getName()).result.endswith("(from first)")


async def structs():
    async with Session() as s:
        shape = {
            "title": "a shape",
            "sides": [-1, 0, 2147483647],
            "flags": [True, False, True] * 5,
            "area": -5,
            "hasArea": True,
            "colour": -3,
            "parts": [{"id": 1, "label": "one"}, {"id": 0, "label": ""}],
            "weights": [{"first": "a", "second": 1}, {"first": "b", "second": -1}],
            "ratio": 0.1,
            "small": -128,
            "raw": b"\x00\xff",
            "whole": {"id": 9, "label": "nine"},
            "visible": False,
        }
        # `pass` is a word of Python's.
        got = await getattr(s.root, "pass")(context=s.context, shape=shape)
        assert got.result.to_dict() == foo.Shape.new_message(**shape).to_dict()


async def missing_values():
    async with Session() as s:
        found = await s.root.find(context=s.context, key="0")
        assert (found.result, found.hasResult) == (0, True)
        assert not (await s.root.find(context=s.context, key="x")).hasResult
        assert not (await s.root.findShape(context=s.context, key=""))._has("result")
        assert (await s.root.findShape(context=s.context, key="square")).result.title == "square"
        ids = [b"\x01\x02", b"", b"\x03"]
        got = (await s.root.transactions(context=s.context, ids=ids)).result
        assert [bytes(one) for one in got] == ids
        assert not (await s.root.maybeCall(context=s.context)).result


async def maps_and_pairs():
    async with Session() as s:
        got = await s.root.sizes(
            context=s.context,
            map=[{"first": "a", "second": -1}, {"first": "b", "second": 2**63 - 1}],
            names=[{"first": "c", "second": "four"}],
        )
        pairs = {pair.first: pair.second for pair in got.result}
        assert pairs == {"a": -1, "b": 2**63 - 1, "c": 4}, pairs


async def defaults():
    async with Session() as s:
        assert list((await s.root.limits(context=s.context)).result) == ["true", "1.5", "8000"]
        got = await s.root.limits(context=s.context, timeout=0.25, count=9, wanted=False)
        assert list(got.result) == ["false", "0.25", "9"]


async def data():
    async with Session() as s:
        for size in (0, 1, 7, 8, 1 << 20, 5_000_000):
            sent = bytes(n & 255 for n in range(256)) * (size // 256 + 1)
            got = (await s.root.echoData(context=s.context, data=sent[:size])).result
            assert bytes(got) == sent[:size]


async def several_results():
    async with Session() as s:
        got = await s.root.check(context=s.context, text="x")
        assert (got.result, got.reason, got.debug) == (False, "bad-x", "x")


async def declared_exceptions():
    async with Session() as s:
        got = await s.root.divide(context=s.context, a=7, b=2)
        assert got.result == 3 and not got._has("error")
        got = await s.root.divide(context=s.context, a=7, b=0)
        assert got.error == "division by zero"


async def exceptions():
    async with Session() as s:
        await raises(
            s.root.fail(context=s.context, text="no such thing"),
            "remote exception: std::exception: no such thing",
        )
        await raises(s.root.panic(context=s.context), "std::exception: Foo.panic panicked")
        await raises(s.root.unknownToRust(context=s.context), "not implemented")
        assert (await s.root.add(context=s.context, a=1, b=1)).result == 2


async def callbacks():
    async with Session() as s:
        callback = Callback()
        got = await s.root.callback(context=s.context, callback=callback, n=41)
        assert got.result == 42 and callback.calls == 1
        assert callback.contexts == [True]
        assert (await s.root.maybeCall(context=s.context, callback=callback)).result
        await raises(
            s.root.callback(context=s.context, callback=Failing(), n=1), "the callback fails"
        )


async def nested_calls():
    """A callback calls again, on the thread that is waiting for it."""
    async with Session() as s:
        inner = []

        async def then():
            inner.append((await s.root.threadName(context=s.context)).result)

        outer = (await s.root.threadName(context=s.context)).result
        await s.root.callback(context=s.context, callback=Callback(then=then), n=0)
        assert inner == [outer], (inner, outer)


async def saved_callbacks():
    async with Session() as s:
        callback = Callback(add=100)
        await s.root.save(context=s.context, callback=callback)
        assert (await s.root.callSaved(context=s.context, n=1)).result == 101
        other = (await s.map.makeThread("other")).result
        assert (await s.root.callSaved(context=s.on(other), n=2)).result == 102
        # Without a thread of ours to call back on, the server asks for one.
        assert len(s.ours.made) == 1, s.ours.made
        await s.root.forget(context=s.context)
        await raises(s.root.callSaved(context=s.context, n=1), "nothing is saved")


async def objects():
    async with Session() as s:
        first = (await s.root.makeCounter(context=s.context)).result
        second = (await s.root.makeCounter(context=s.context)).result
        assert [(await first.next(context=s.context)).result for _ in range(3)] == [1, 2, 3]
        assert (await second.next(context=s.context)).result == 1
        named = first.cast_as(foo.Named)
        assert (await named.name(context=s.context)).result == "counter"
        await first.destroy(context=s.context)
        await raises(first.next(context=s.context), "std::exception")
        assert (await second.next(context=s.context)).result == 2


async def identity():
    """A capability that goes there and back is still ours."""
    async with Session() as s:
        callback = Callback(add=7)
        back = (await s.root.giveBack(context=s.context, callback=callback)).result
        assert (await back.call(n=1)).result == 8
        assert callback.calls == 1


async def pipelined_objects():
    """Calls on the result of a call that is not back yet."""
    async with Session() as s:
        counter = s.root.makeCounter(context=s.context).result
        first, second = counter.next(context=s.context), counter.next(context=s.context)
        assert ((await first).result, (await second).result) == (1, 2)


async def threads():
    async with Session() as s:
        other = (await s.map.makeThread("other")).result
        first = (await s.root.threadName(context=s.context)).result
        assert (await s.root.threadName(context=s.context)).result == first
        assert (await s.root.threadName(context=s.on(other))).result != first


async def pipelined_threads():
    """The thread of a call is the result of a call that is not back yet, as libmultiprocess sends it."""
    async with Session() as s:
        thread = s.map.makeThread("later").result
        got = await asyncio.gather(
            *(s.root.add(context=s.on(thread), a=n, b=1) for n in range(20))
        )
        assert [one.result for one in got] == list(range(1, 21))


async def order_on_a_thread():
    """Calls of one thread run in the order they were sent; those of another do not wait for them."""
    async with Session() as s:
        counter = (await s.root.makeCounter(context=s.context)).result
        got = await asyncio.gather(*(counter.next(context=s.context) for _ in range(50)))
        assert [one.result for one in got] == list(range(1, 51))
        release = asyncio.Event()

        async def wait():
            await release.wait()

        blocked = asyncio.ensure_future(
            _finish(s.root.callback(context=s.on(s.thread), callback=Callback(then=wait), n=0))
        )
        other = (await s.map.makeThread("other")).result
        assert (await s.root.add(context=s.on(other), a=1, b=2)).result == 3
        assert not blocked.done()
        release.set()
        assert (await blocked).result == 1


async def _finish(promise):
    return await promise


async def pools():
    async with Session() as s:
        missing = "no thread specified and no pool configured"
        await raises(s.root.add(a=1, b=1), missing)
        await raises(s.root.add(context={}, a=1, b=1), missing)
        await s.map.makePool(2)
        got = await asyncio.gather(*(s.root.add(a=n, b=n) for n in range(30)))
        assert [one.result for one in got] == [2 * n for n in range(30)]
        assert (await s.root.callback(callback=Callback(), n=1)).result == 2
        await raises(s.map.makePool(2), "makePool called on connection with existing pool")


async def wrong_threads():
    async with Session() as s:
        foreign = Thread("not one that the server made")
        await raises(s.root.add(context=s.on(foreign), a=1, b=1), "invalid thread handle")
        assert (await s.root.add(context=s.context, a=1, b=1)).result == 2


if __name__ == "__main__":
    names = [name for name, value in list(globals().items()) if asyncio.iscoroutinefunction(value)]
    run({name: globals()[name] for name in names if not name.startswith("_")})
