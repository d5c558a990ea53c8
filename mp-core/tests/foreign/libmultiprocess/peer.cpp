// The C++ side of the cross test. With `-ipcfd N` it serves libmultiprocess's own test interface on that descriptor;
// else it spawns the program that it is given, which must serve the interface, and calls it.
//
// What the served object does beyond the interface's own implementation is told to the number that callIntFnAsync
// takes: -1 throws, -2 ends the process, -3 gives a number of the thread, -4 waits until another call gives -5, -6 tells
// whether one waits, and
// anything else comes back.

#include <mp/test/foo.capnp.h>
#include <mp/test/foo.capnp.proxy.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <mp/proxy-io.h>
#include <mp/util.h>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {
using namespace mp::test;
using Foo = mp::ProxyClient<messages::FooInterface>;

void Log(mp::LogMessage message)
{
    if (message.level == mp::Log::Raise) throw std::runtime_error(message.message);
}

void Serve(int fd)
{
    mp::EventLoop loop("peer", Log);
    std::mutex mutex;
    std::condition_variable changed;
    bool waiting{false};
    FooImplementation foo;
    foo.m_fn = [] {};
    foo.m_int_fn = [&](int number) -> int {
        if (number == -1) throw std::runtime_error("less than nothing");
        if (number == -2) _exit(7);
        if (number == -3) return std::hash<std::thread::id>{}(std::this_thread::get_id()) & 0x7fffffff;
        std::unique_lock lock(mutex);
        if (number == -6) return waiting;
        if (number == -4 || number == -5) waiting = number == -4;
        changed.notify_all();
        if (number == -4) changed.wait(lock, [&] { return !waiting; });
        return number;
    };
    mp::ServeStream<messages::FooInterface>(loop, fd, foo);
    loop.loop();
}

class Counter : public ExtendedCallback
{
public:
    explicit Counter(int add) : m_add(add) { ++alive; }
    ~Counter() override { --alive; }
    int call(int arg) override
    {
        m_thread = std::this_thread::get_id();
        if (arg < 0) throw std::runtime_error("too small");
        return arg + m_add;
    }
    int callExtended(int arg) override { return arg * m_add; }
    static inline std::atomic<int> alive{0};
    std::thread::id m_thread;
    int m_add;
};

// A connection to a new process of the program.
struct Peer {
    explicit Peer(const std::string& program)
    {
        std::promise<mp::EventLoop*> made;
        m_thread = std::thread([&made] {
            mp::EventLoop loop("peer", Log);
            made.set_value(&loop);
            loop.loop();
        });
        m_loop = made.get_future().get();
        const int fd = mp::SpawnProcess(m_pid, [&](int fd) -> std::vector<std::string> {
            return {program, "-ipcfd", std::to_string(fd)};
        });
        foo = mp::ConnectStream<messages::FooInterface>(*m_loop, fd);
    }
    // How the process ended.
    int Leave()
    {
        foo.reset();
        m_thread.join();
        return mp::WaitProcess(m_pid);
    }
    std::unique_ptr<Foo> foo;
    mp::EventLoop* m_loop;
    std::thread m_thread;
    int m_pid;
};

int failures = 0;

void Case(const char* name, const std::function<bool()>& run)
{
    std::string why = "wrong result";
    bool good = false;
    try {
        good = run();
    } catch (const std::exception& error) {
        why = error.what();
    } catch (...) {
        why = "an exception of another type";
    }
    std::printf("%-52s %s%s\n", name, good ? "yes" : "NO: ", good ? "" : why.c_str());
    std::fflush(stdout);
    failures += !good;
}

std::string Failure(const std::function<void()>& call)
{
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "nothing";
}

bool Same(const FooStruct& a, const FooStruct& b)
{
    return a.name == b.name && a.set_int == b.set_int && a.vector_bool == b.vector_bool &&
        a.optional_int == b.optional_int && a.unordered_set_int == b.unordered_set_int &&
        a.map_string_int == b.map_string_int;
}

// Sends calls without waiting, as `fill` says, and gives the results in the order of their coming.
std::vector<int> SendAll(Foo& foo, int count, const std::function<void(messages::FooInterface::CallIntFnAsyncParams::Builder, int)>& fill)
{
    std::promise<void> done;
    std::vector<int> results;
    foo.m_context.loop->sync([&] {
        for (int i = 0; i < count; ++i) {
            auto request = foo.m_client.callIntFnAsyncRequest();
            fill(request, i);
            foo.m_context.loop->m_task_set->add(request.send().then([&](auto&& reply) {
                results.push_back(reply.getResult());
                if (int(results.size()) == count) done.set_value();
            }, [&](kj::Exception&& error) {
                results.push_back(-std::strlen(error.getDescription().cStr()));
                if (int(results.size()) == count) done.set_value();
            }));
        }
    });
    done.get_future().get();
    return results;
}

void Values(Foo& foo)
{
    FooStruct in;
    in.name = "name";
    in.set_int = {2, 1, -5};
    in.vector_bool = {false, true, false};
    in.optional_int = 0;
    in.unordered_set_int = {7, 8};
    in.map_string_int = {{"a", 1}, {"", -2}};
    Case("integers, without context", [&] { return foo.add(-1, 2) == 1; });
    Case("out and in-out parameters", [&] {
        int out = 0;
        foo.addOut(3, 4, out);
        foo.addInOut(3, out);
        return out == 10;
    });
    Case("maps", [&] { return foo.mapSize({{"a", "b"}, {"c", "d"}}) == 2 && foo.mapSize({}) == 0; });
    Case("structs: sets, vectors, maps, optional", [&] {
        if (!Same(foo.pass(in), in)) return false;
        auto other = in;
        other.optional_int.reset();
        return Same(foo.pass(other), other) && Same(foo.pass({}), {});
    });
    Case("declared exceptions", [&] {
        try {
            foo.raise(in);
        } catch (const FooStruct& error) {
            return Same(error, in);
        }
        return false;
    });
    Case("custom and empty structs", [&] {
        const auto out = foo.passCustom({"v1", 5});
        foo.passEmpty({});
        return out.v1 == "v1" && out.v2 == 5;
    });
    Case("data of 0 and 1,000,000 bytes", [&] {
        const FooData large(1000000, 'x');
        return foo.passData({}).empty() && foo.passData(large) == large;
    });
    Case("messages, by value and changed", [&] {
        FooMutable changed{"init"};
        foo.passMutable(changed);
        // The other side may have hooks of its own for these types, as libmultiprocess has.
        const auto message = foo.passMessage({"init"}).message;
        return (message == "init build call read" || message == "init build read call build read") &&
            (changed.message == "init build call read" || changed.message == "init build pass call return read");
    });
    Case("enums and floating point", [&] { return foo.passEnum(FooEnum::TWO) == FooEnum::TWO && foo.passDouble(-1.25) == -1.25; });
    Case("lists with missing elements", [&] {
        const auto out = foo.passDataPointers({std::make_shared<FooData>(FooData{'H', 'i'}), nullptr});
        return out.size() == 2 && out[0] && *out[0] == FooData{'H', 'i'} && !out[1];
    });
}

void Callbacks(Foo& foo)
{
    foo.initThreadMap();
    Case("callbacks: borrowed, owned, shared", [&] {
        Counter borrowed(1);
        return foo.callback(borrowed, 1) == 2 && foo.callbackUnique(std::make_unique<Counter>(2), 1) == 3 &&
            foo.callbackShared(std::make_shared<Counter>(3), 1) == 4;
    });
    Case("callbacks are destroyed with their last owner", [&] { return Counter::alive == 0; });
    Case("callbacks run on the thread that waits", [&] {
        Counter counter(1);
        foo.callback(counter, 1);
        return counter.m_thread == std::this_thread::get_id();
    });
    Case("saved callbacks, and null to forget", [&] {
        auto saved = std::make_shared<Counter>(7);
        foo.saveCallback(saved);
        if (saved.use_count() != 2 || foo.callbackSaved(1) != 8) return false;
        foo.saveCallback(nullptr);
        return saved.use_count() == 1;
    });
    Case("interfaces that extend others", [&] {
        Counter counter(3);
        return foo.callbackExtended(counter, 5) == 15;
    });
    Case("functions, nested in calls", [&] {
        return foo.passFn([] { return 10; }) == 10 && foo.passFn([&] { return foo.passFn([] { return 1; }) + 1; }) == 2;
    });
    Case("a callback that throws", [&] {
        Counter counter(3);
        return Failure([&] { foo.callback(counter, -1); }).find("too small") != std::string::npos;
    });
    Case("undeclared exceptions", [&] {
        const auto text = Failure([&] { foo.callIntFnAsync(-1); });
        if (std::getenv("SHOW")) std::printf("  %s\n", text.c_str());
        return text.find("remote exception: std::exception: less than nothing") != std::string::npos;
    });
}

void Threads(Foo& foo)
{
    Case("one counterpart for each thread", [&] {
        const int own = foo.callIntFnAsync(-3);
        int other = own;
        std::thread([&] { other = foo.callIntFnAsync(-3); }).join();
        return own == foo.callIntFnAsync(-3) && own != other;
    });
    Case("32 threads at once", [&] {
        std::atomic<int> good{0};
        std::vector<std::thread> threads;
        for (int i = 0; i < 32; ++i) threads.emplace_back([&, i] {
            for (int n = 0; n < 20; ++n) good += foo.callIntFnAsync(100 * i + n) == 100 * i + n;
        });
        for (auto& thread : threads) thread.join();
        return good == 640;
    });
    Case("a call of another thread goes on beside one that waits", [&] {
        std::thread waits([&] { foo.callIntFnAsync(-4); });
        while (foo.callIntFnAsync(-6) != 1) std::this_thread::yield();
        foo.callIntFnAsync(-5);
        waits.join();
        return true;
    });
    Case("calls of one thread in order", [&] {
        auto& context = mp::g_thread_context;
        mp::Thread::Client *callback, *request;
        foo.m_context.loop->sync([&] {
            mp::Lock lock(context.waiter->m_mutex);
            callback = &context.callback_threads.at(foo.m_context.connection)->m_client;
            request = &context.request_threads.at(foo.m_context.connection)->m_client;
        });
        const auto results = SendAll(foo, 50, [&](auto params, int i) {
            auto builder = params.initContext();
            builder.setCallbackThread(*callback);
            builder.setThread(*request);
            params.setArg(i);
        });
        for (int i = 0; i < 50; ++i) if (results[i] != i) return false;
        return results.size() == 50;
    });
    const auto bare = [](auto params, int i) {
        params.initContext();
        params.setArg(i + 1);
    };
    Case("no thread and no pool is an error", [&] {
        return SendAll(foo, 1, bare)[0] < 0;
    });
    Case("makePool", [&] {
        std::promise<void> made;
        foo.m_context.loop->sync([&] {
            auto request = foo.m_context.connection->m_thread_map.makePoolRequest();
            request.setCount(2);
            foo.m_context.loop->m_task_set->add(request.send().then([&](auto&&) { made.set_value(); }));
        });
        made.get_future().get();
        int sum = 0;
        for (int result : SendAll(foo, 9, bare)) sum += result;
        return sum == 45;
    });
}

void Ends(const std::string& program)
{
    Case("the peer leaves when its client does", [&] {
        Peer peer(program);
        peer.foo->add(1, 2);
        return peer.Leave() == 0;
    });
    Case("the peer dies during a call", [&] {
        Peer peer(program);
        peer.foo->initThreadMap();
        peer.foo->callFnAsync();
        const auto during = Failure([&] { peer.foo->callIntFnAsync(-2); });
        const bool good = during == "IPC client method call interrupted by disconnect.";
        if (!good) std::printf("  during: %s\n", during.c_str());
        return peer.Leave() != 0 && good;
    });
    Case("proxies outlive the peer that holds their callbacks", [&] {
        Peer peer(program);
        peer.foo->initThreadMap();
        peer.foo->saveCallback(std::make_shared<Counter>(1));
        Failure([&] { peer.foo->callIntFnAsync(-2); });
        peer.Leave();
        return Counter::alive == 0;
    });
    Case("a client leaves while its call runs", [&] {
        Peer peer(program);
        peer.foo->initThreadMap();
        std::thread waits([&] { Failure([&] { peer.foo->callIntFnAsync(-4); }); });
        while (peer.foo->callIntFnAsync(-6) != 1) std::this_thread::yield();
        peer.m_loop->sync([&] { delete peer.foo->m_context.connection; });
        waits.join();
        // The call goes on in libmultiprocess, and keeps the process.
        kill(peer.m_pid, SIGKILL);
        peer.Leave();
        return true;
    });
}
} // namespace

int main(int argc, char** argv)
{
    if (argc == 3 && std::strcmp(argv[1], "-ipcfd") == 0) {
        Serve(std::stoi(argv[2]));
        return 0;
    }
    if (argc != 2) {
        std::fprintf(stderr, "usage: peer PROGRAM | peer -ipcfd N\n");
        return 2;
    }
    Peer peer(argv[1]);
    Values(*peer.foo);
    Callbacks(*peer.foo);
    Threads(*peer.foo);
    Case("the connection was in order to the end", [&] { return peer.Leave() == 0; });
    Ends(argv[1]);
    std::printf("%d failed\n", failures);
    return failures ? 1 : 0;
}
