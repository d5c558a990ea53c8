// The interface that the benchmark measures.
#ifndef BENCH_H
#define BENCH_H

#include <cstdint>
#include <memory>
#include <vector>

namespace bench {
class Callback
{
public:
    virtual ~Callback() = default;
    virtual uint64_t call(uint64_t n) = 0;
};

class Object
{
public:
    virtual ~Object() = default;
    virtual uint64_t number() = 0;
};

class Bench
{
public:
    virtual ~Bench() = default;
    virtual uint64_t ping(uint64_t n) = 0;
    virtual uint64_t pingDirect(uint64_t n) = 0;
    virtual std::vector<unsigned char> echo(std::vector<unsigned char> data) = 0;
    virtual uint64_t callBack(std::shared_ptr<Callback> callback, uint64_t n) = 0;
    virtual std::unique_ptr<Object> makeObject() = 0;
};

} // namespace bench

#endif
