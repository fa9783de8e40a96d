// What saving and loading a state cost, beside what the machine can do: one memory copy of the same bytes, a
// plain O_DIRECT write and read of them. One round a call, figures in seconds, a line each ("name seconds");
// perf/checkpoint runs several and puts torch.save beside them.
//   bench_checkpoint FOLDER [MEGABYTES [THREADS]]
//
// The state is that of a GPT under Adam: parameters and two slots, matrices of 4 to 16 MiB and many small
// vectors. The first save of a run, which lays out its file, is made before the clock runs, as a run makes it
// beside its first steps.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "base/hashed_file.h"
#include "checkpoint/claim.h"
#include "checkpoint/load.h"
#include "checkpoint/saver.h"

namespace trireme::bench {
namespace {

namespace fs = std::filesystem;

double seconds_of(const std::function<void()>& body) {
  auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void tell(const char* name, double seconds) { fmt::print("{} {:.6f}\n", name, seconds); }

// A transformer's tensors until `elements` are reached.
std::vector<std::pair<std::string, Shape>> gpt_tensors(size_t elements) {
  std::vector<std::pair<std::string, Shape>> tensors;
  constexpr int64_t width = 1024;
  size_t total = 0;
  for (int block = 0; total < elements; ++block) {
    auto add = [&](const char* name, Shape shape) {
      total += static_cast<size_t>(shape.elements());
      tensors.emplace_back(fmt::format("block{}.{}", block, name), std::move(shape));
    };
    add("norm1.gain", {width}), add("norm1.bias", {width});
    add("attention.weight", {3 * width, width}), add("attention.bias", {3 * width});
    add("out.weight", {width, width}), add("out.bias", {width});
    add("norm2.gain", {width}), add("norm2.bias", {width});
    add("up.weight", {4 * width, width}), add("up.bias", {4 * width});
    add("down.weight", {width, 4 * width}), add("down.bias", {width});
  }
  return tensors;
}

// Three arenas, as a run has them.
struct State {
  std::vector<std::pair<std::string, Shape>> tensors;
  std::vector<Buffer> arenas;
  explicit State(size_t bytes) : tensors(gpt_tensors(bytes / 3 / sizeof(float))) {
    size_t elements = 0;
    for (const auto& [name, shape] : tensors) elements += static_cast<size_t>(shape.elements());
    for (int i = 0; i < 3; ++i) {
      auto* values = arenas.emplace_back(elements * sizeof(float)).as<float>();
      for (size_t j = 0; j < elements; ++j) values[j] = static_cast<float>(j % 8191) * 0.25f;
    }
  }
  size_t bytes() const { return 3 * arenas[0].bytes(); }
  template <class Tensor>
  std::vector<Tensor> view(size_t arena) {
    std::vector<Tensor> views;
    size_t at = 0;
    for (const auto& [name, shape] : tensors) {
      auto count = static_cast<size_t>(shape.elements());
      views.push_back({name, shape, arenas[arena].span<float>().subspan(at, count)});
      at += count;
    }
    return views;
  }
  CheckpointContent content(int64_t step) {
    CheckpointContent content;
    content.parameters = view<NamedTensor>(0);
    content.slots = {{"first_moment", view<NamedTensor>(1)}, {"second_moment", view<NamedTensor>(2)}};
    content.run.step = step;
    return content;
  }
};

constexpr size_t block_bytes = size_t{8} << 20;

void plain_write(const fs::path& path, const PageMemory& memory) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0644));
  if (file.get() < 0) throw IoError("{}: O_DIRECT: {}", path.string(), std::strerror(errno));
  for (size_t at = 0; at < memory.capacity(); at += block_bytes) {
    size_t bytes = std::min(block_bytes, memory.capacity() - at);
    if (::pwrite(file.get(), memory.data() + at, bytes, static_cast<off_t>(at)) !=
        static_cast<ssize_t>(bytes)) {
      throw IoError("{}: {}", path.string(), std::strerror(errno));
    }
  }
  ::fsync(file.get());
}

void plain_read(const fs::path& path, PageMemory& memory) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_DIRECT));
  for (size_t at = 0; at < memory.capacity(); at += block_bytes) {
    if (::pread(file.get(), memory.data() + at, std::min(block_bytes, memory.capacity() - at),
                static_cast<off_t>(at)) <= 0) {
      throw IoError("{}: {}", path.string(), std::strerror(errno));
    }
  }
}

void round(const fs::path& folder, size_t bytes, int threads) {
  State state(bytes);
  PageMemory source(state.bytes()), target(state.bytes());
  std::memset(source.data(), 1, source.bytes());
  std::memset(target.data(), 2, target.bytes());
  fs::remove_all(folder);
  RunClaim claim(folder, {});
  Saver saver({folder, claim.workshop(), claim.start()}, {.newest = 1}, threads);
  int64_t step = 0;
  auto save = [&] {
    double seconds = 0;
    saver.write();
    saver.wait();
    for (const SaveReport& report : saver.take_reports()) {
      if (!report.error.empty()) throw IoError("{}", report.error);
      seconds = report.write_seconds;
    }
    return seconds;
  };
  saver.copy(state.content(++step));
  save();
  fmt::print("bytes {}\n", state.bytes());
  for (int turn = 0; turn < 3; ++turn) {
    tell("memcpy", seconds_of([&] {
           std::byte* to = target.data();
           for (const Buffer& arena : state.arenas) {
             std::memcpy(to, arena.data(), arena.bytes());
             to += arena.bytes();
           }
         }));
    tell("stall", seconds_of([&] { saver.copy(state.content(step + 1)); }));
    ++step;
    fs::remove(folder / "plain");  // ours is a new file, too
    tell("plain_write", seconds_of([&] { plain_write(folder / "plain", source); }));
    tell("write", save());  // until it is committed; the one before is deleted after that
    tell("plain_read", seconds_of([&] { plain_read(folder / "plain", target); }));
    LoadTargets targets{
        state.view<MutableTensor>(0),
        {{"first_moment", state.view<MutableTensor>(1)}, {"second_moment", state.view<MutableTensor>(2)}},
        {}};
    tell("load", seconds_of([&] { load_newest_checkpoint(folder, targets, {}); }));
  }
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_checkpoint FOLDER [MEGABYTES [THREADS]]\n");
    return 64;
  }
  try {
    size_t megabytes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1000;
    trireme::bench::round(std::filesystem::path(argv[1]) / "checkpoints", megabytes * 1000000,
                          argc > 3 ? std::atoi(argv[3]) : 1);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_checkpoint: {}\n", error.what());
    return 74;
  }
}
