#ifndef BENCH_TYPES_H
#define BENCH_TYPES_H

#include <mp/type-context.h>
#include <mp/type-data.h>
#include <mp/type-decay.h>
#include <mp/type-interface.h>
#include <mp/type-number.h>
#include <mp/type-threadmap.h>
#include <mp/type-void.h>

#endif
