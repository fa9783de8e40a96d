#include "backend/machine.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "backend/cpu/onednn.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/parallel.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double seconds_each = 0.15;  // a size or a copy
constexpr int least_runs = 5;

// Of the fastest run. The first one does not count: it meets its memory for the first time.
template <class Work>
double fastest_seconds(const Work& work) {
  work();
  double fastest = 0, spent = 0;
  for (int run = 0; run < least_runs || spent < seconds_each; ++run) {
    Clock::time_point start = Clock::now();
    work();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (run == 0 || seconds < fastest) fastest = seconds;
    spent += seconds;
  }
  return fastest;
}

// Of one product: `inner` columns, sums of as many, and as many rows a thread.
double product_flops(DType type, int64_t inner, int threads) {
  const int64_t rows = inner * threads;
  cpu::Library library;
  cpu::Desc rows_desc = cpu::typed_desc(type, {rows, inner}, cpu::Tag::ab);
  cpu::Desc any_weights = cpu::typed_desc(type, {inner, inner}, cpu::Tag::any);
  dnnl::matmul::primitive_desc product({rows_desc, any_weights, rows_desc}, library.engine);
  dnnl::memory left(rows_desc, library.engine), result(rows_desc, library.engine);
  dnnl::memory weights(product.weights_desc(), library.engine);
  // Bytes of 0x3c are small numbers in either type (0.0115 and the like), and packing does not matter to
  // them.
  for (const dnnl::memory* memory : {&left, &weights}) {
    std::memset(memory->get_data_handle(), 0x3c, memory->get_desc().get_size());
  }
  dnnl::matmul primitive(product);
  double seconds = fastest_seconds([&] {
    primitive.execute(library.stream,
                      {{DNNL_ARG_SRC, left}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, result}});
    library.stream.wait();
  });
  return 2.0 * static_cast<double>(rows * inner * inner) / seconds;
}

// Which size is best differs from machine to machine: the smallest stay in a core's own cache.
double product_flops(DType type, int threads) {
  double best = 0;
  for (int64_t inner : {256, 512, 1024}) best = std::max(best, product_flops(type, inner, threads));
  return best;
}

// Piece by piece through memory that is far larger than a core's caches: a piece takes a few milliseconds,
// which now and then nobody interrupts.
double copy_rate(int threads, size_t bytes) {
  constexpr size_t pieces = 16;
  Buffer from(bytes), to(bytes);
  std::memset(from.data(), 1,
              bytes);  // memory that was never written to may be one page of zeros, over and over
  std::memset(to.data(), 1, bytes);
  size_t part = bytes / pieces / static_cast<size_t>(threads);
  size_t next = 0;
  double seconds = fastest_seconds([&] {
    size_t piece = next++ % pieces * part * static_cast<size_t>(threads);
    for_each_index(threads, threads, [&](int64_t i) {
      size_t offset = piece + static_cast<size_t>(i) * part;
      std::memcpy(to.data() + offset, from.data() + offset, part);
    });
  });
  return 2.0 * static_cast<double>(part) * threads / seconds;
}

}  // namespace

MachineRates measure_machine(int threads, bool bfloat16, size_t copy_bytes) {
  omp_set_num_threads(threads);
  MachineRates rates;
  try {
    rates.float32_flops = product_flops(DType::float32, threads);
    if (bfloat16) rates.bfloat16_flops = product_flops(DType::bfloat16, threads);
  } catch (const dnnl::error& error) {
    throw DeviceError("the matrix product that shows what the machine can do: oneDNN: {}", error.what());
  }
  rates.copy_bytes = copy_rate(threads, copy_bytes);
  return rates;
}

}  // namespace trireme
