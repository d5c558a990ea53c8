// A peer of libmultiprocess for the benchmark, built by the script `build`: serves the interface on `-ipcfd N`, or measures, as a client, a program
// that serves it (itself, if none is named).

#include <bench.capnp.h>
#include <bench.capnp.proxy.h>
#include <bench.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <future>
#include <mp/proxy-io.h>
#include <mp/util.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {
class ObjectImpl : public bench::Object
{
public:
    uint64_t number() override { return 1; }
};

class CallbackImpl : public bench::Callback
{
public:
    uint64_t call(uint64_t n) override { return n; }
};

class BenchImpl : public bench::Bench
{
public:
    uint64_t ping(uint64_t n) override { return n; }
    uint64_t pingDirect(uint64_t n) override { return n; }
    std::vector<unsigned char> echo(std::vector<unsigned char> data) override { return data; }
    uint64_t callBack(std::shared_ptr<bench::Callback> callback, uint64_t n) override { return callback->call(n); }
    std::unique_ptr<bench::Object> makeObject() override { return std::make_unique<ObjectImpl>(); }
};

void Log(mp::LogMessage message)
{
    if (message.level == mp::Log::Raise) throw std::runtime_error(message.message);
}

using Clock = std::chrono::steady_clock;

template <typename Call>
std::vector<double> Times(double seconds, Call&& call)
{
    const auto warm = Clock::now() + std::chrono::duration<double>(seconds / 10);
    while (Clock::now() < warm) call();
    std::vector<double> times;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    for (auto last = Clock::now(); last < end;) {
        call();
        const auto now = Clock::now();
        times.push_back(std::chrono::duration<double, std::micro>(now - last).count());
        last = now;
    }
    return times;
}

void Print(const char* name, std::vector<double> times, double seconds, size_t size = 0)
{
    std::sort(times.begin(), times.end());
    std::printf("%-46s %10.1f %10.1f %11.0f", name, times[times.size() / 2], times[times.size() * 99 / 100], times.size() / seconds);
    if (size) std::printf(" %16.0f", size * (times.size() / seconds) / 1e6);
    std::printf("\n");
    std::fflush(stdout);
}

void Threads(bench::Bench& bench, int count, double seconds)
{
    std::vector<std::future<std::vector<double>>> running;
    for (int i = 0; i < count; ++i) {
        running.push_back(std::async(std::launch::async, [&] { return Times(seconds, [&] { bench.ping(1); }); }));
    }
    std::vector<double> all;
    for (auto& one : running) {
        auto times = one.get();
        all.insert(all.end(), times.begin(), times.end());
    }
    Print(("call with Context, " + std::to_string(count) + " threads").c_str(), all, seconds);
}

void Measure(bench::Bench& bench, double seconds)
{
    Print("call without Context", Times(seconds, [&] { bench.pingDirect(1); }), seconds);
    Print("call with Context", Times(seconds, [&] { bench.ping(1); }), seconds);
    for (int count : {4, 16, 64}) Threads(bench, count, seconds);
    auto callback = std::make_shared<CallbackImpl>();
    Print("call with a nested callback", Times(seconds, [&] { bench.callBack(callback, 1); }), seconds);
    const std::vector<unsigned char> small(1 << 10), large(1 << 20);
    Print("echo of 1 KB", Times(seconds, [&] { bench.echo(small); }), seconds, small.size());
    Print("echo of 1 MB", Times(seconds, [&] { bench.echo(large); }), seconds, large.size());
    Print("an object made and released", Times(seconds, [&] { bench.makeObject(); }), seconds);
}
} // namespace

int main(int argc, char** argv)
{
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], "-ipcfd") == 0) {
            mp::EventLoop loop("peer", Log);
            BenchImpl bench;
            mp::ServeStream<BenchInit>(loop, std::stoi(argv[i + 1]), bench);
            loop.loop();
            return 0;
        }
    }
    const std::string program = argc > 1 ? argv[1] : argv[0];
    const double seconds = argc > 2 ? std::stod(argv[2]) : 2;
    std::promise<mp::EventLoop*> made;
    std::thread thread([&] {
        mp::EventLoop loop("peer", Log);
        made.set_value(&loop);
        loop.loop();
    });
    mp::EventLoop* loop = made.get_future().get();
    int pid;
    const int fd = mp::SpawnProcess(pid, [&](int fd) -> std::vector<std::string> {
        return {program, "-ipcfd", std::to_string(fd)};
    });
    auto bench = mp::ConnectStream<BenchInit>(*loop, fd);
    Measure(*bench, seconds);
    bench.reset();
    mp::WaitProcess(pid);
    thread.join();
    return 0;
}
