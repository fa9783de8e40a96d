// How fast a shard of the parameter server applies updates, beside the bare loop over the same memory in as
// many threads. Run by perf/parameter_server_update:  bench_parameter_server [--rounds N] [--milliseconds N]
// [--bytes N]
//
// Update: p -= rate * g, plain SGD. An element is 12 bytes of traffic: p read, g read, p written. The bare
// loop's threads go over their part of p and g again and again, and meet at the end of a turn. The shard gets
// as many pushes, one behind the other as fast as it takes them, each a ticket of its own with a float32
// payload (the same g), and the turn ends when the last one is acknowledged: checks, windows, queues, version
// words and callbacks are in. Turns alternate; the table gives medians (minimum..maximum) over rounds. That
// both have done all updates is checked on p.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/clones.h"
#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/shard.h"

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;

TRIREME_CLONES void descend(float* parameters, const float* gradient, size_t count, float rate) {
  for (size_t i = 0; i < count; ++i) parameters[i] -= rate * gradient[i];
}

class PlainSgd : public ShardRules {
 public:
  void update(size_t, Range block, float* values, const float* gradient, const float*, const UpdateInfo&,
              ShardState) override {
    descend(values + block.begin, gradient, block.size(), 1.0f);
  }
  void copy_slots(size_t, Range) override {}
};

// Threads that do something together, again and again; a turn ends when all are through.
class Crew {
 public:
  explicit Crew(size_t count) {
    for (size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { run(i); });
  }
  ~Crew() {
    work_ = {};
    turn();
    for (auto& thread : threads_) thread.join();
  }
  void turn(std::function<void(size_t)> work) {
    work_ = std::move(work);
    turn();
  }

 private:
  void turn() {
    std::unique_lock lock(mutex_);
    through_ = 0;
    ++turn_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return through_ == threads_.size(); });
  }
  void run(size_t index) {
    for (size_t seen = 0; true;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return turn_ != seen; });
        seen = turn_;
      }
      if (work_) work_(index);
      std::lock_guard lock(mutex_);
      ++through_;
      changed_.notify_all();
      if (!work_) return;
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t turn_ = 0, through_ = 0;
  std::function<void(size_t)> work_;
  std::vector<std::thread> threads_;
};

struct Options {
  int rounds = 15;
  double milliseconds = 60;
  std::vector<size_t> sizes{64u << 10, 256u << 10, 1u << 20, 4u << 20, 16u << 20, 64u << 20, 256u << 20};
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string key = argv[i];
    if (key == "--rounds") {
      options.rounds = std::stoi(argv[i + 1]);
    } else if (key == "--milliseconds") {
      options.milliseconds = std::stod(argv[i + 1]);
    } else if (key == "--bytes") {
      options.sizes = {std::stoul(argv[i + 1])};
    } else {
      throw UsageError("unknown option {}", key);
    }
  }
  if (argc % 2 == 0) throw UsageError("{} needs a value", argv[argc - 1]);
  return options;
}

std::string cell(std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  return fmt::format("{:.1f} ({:.1f}..{:.1f})", rates[rates.size() / 2] / 1e9, rates.front() / 1e9,
                     rates.back() / 1e9);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// What a shard of `bytes` of parameters is in this bench: blocks as a server cuts them, at least one a
// thread.
class Contest {
 public:
  Contest(size_t bytes, size_t threads)
      : count_(bytes / sizeof(float)),
        threads_(threads),
        crew_(threads),
        pool_(threads),
        bare_(bytes),
        gradient_(new Buffer(bytes)) {
    layout_.blocks = even_blocks(count_, std::min(size_t{64} << 10, count_ / threads));
    memory_ = Buffer(version_bytes(layout_.blocks.size()) + bytes);
    values_ = reinterpret_cast<float*>(memory_.data() + version_bytes(layout_.blocks.size()));
    for (float& g : gradient_->span<float>()) g = 1;
    shard_.emplace(ShardMemory{{memory_.as<uint64_t>(), layout_.blocks.size()}, {values_, count_}}, layout_,
                   rules_, pool_, ShardOptions{});
  }

  double bare(size_t updates) {
    auto start = Clock::now();
    crew_.turn([&](size_t thread) {
      size_t first = count_ * thread / threads_, last = count_ * (thread + 1) / threads_;
      for (size_t i = 0; i < updates; ++i)
        descend(bare_.as<float>() + first, gradient_->as<float>() + first, last - first, 1.0f);
    });
    bare_updates_ += updates;
    return rate(start, updates);
  }

  double pushed(size_t updates) {
    std::mutex mutex;
    std::condition_variable changed;
    bool over = false;
    auto start = Clock::now();
    for (size_t i = 0; i < updates; ++i) {
      PushInfo info;
      info.ticket = {clock_++, 0};
      OnApplied applied = [](const Applied&) {};
      if (i + 1 == updates)
        applied = [&](const Applied&) {
          std::lock_guard lock(mutex);
          over = true;
          changed.notify_one();
        };
      shard_->push(info, {gradient_, std::as_bytes(gradient_->span<float>())}, std::move(applied));
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return over; });
    return rate(start, updates);
  }

  // Counting down by ones is exact up to 2^24.
  void check() const {
    for (size_t i = 0; i < count_; ++i) {
      if (values_[i] == -static_cast<float>(clock_) &&
          bare_.as<float>()[i] == -static_cast<float>(bare_updates_))
        continue;
      throw CommError("element {}: {} after {} pushes, {} after {} bare updates", i, values_[i], clock_,
                      bare_.as<float>()[i], bare_updates_);
    }
  }

 private:
  double rate(Clock::time_point start, size_t updates) const {
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return static_cast<double>(updates) * static_cast<double>(count_) * 12 / seconds;
  }

  size_t count_, threads_;
  ShardLayout layout_;
  PlainSgd rules_;
  Crew crew_;
  ApplyPool pool_;
  Buffer bare_, memory_;
  std::shared_ptr<Buffer> gradient_;
  float* values_ = nullptr;
  int64_t clock_ = 0;
  size_t bare_updates_ = 0;
  std::optional<Shard> shard_;
};

void run(const Options& options) {
  fmt::print(
      "| parameters | threads | shard, GB/s | bare loop, GB/s | shard / bare |\n|---|---|---|---|---|\n");
  for (size_t bytes : options.sizes) {
    for (size_t threads : {size_t{1}, size_t{2}}) {
      Contest contest(bytes, threads);
      contest.bare(1);
      contest.pushed(1);
      double once = 12.0 * static_cast<double>(bytes / sizeof(float)) / contest.bare(4);
      auto updates = static_cast<size_t>(std::clamp(options.milliseconds / 1e3 / once, 2.0, 20000.0));
      std::vector<double> pushed, bare, ratios;
      for (int round = 0; round < options.rounds; ++round) {
        bare.push_back(contest.bare(updates));
        pushed.push_back(contest.pushed(updates));
        ratios.push_back(pushed.back() / bare.back());
      }
      contest.check();
      fmt::print("| {} | {} | {} | {} | {:.2f} |\n",
                 bytes < (1u << 20) ? fmt::format("{} KiB", bytes >> 10) : fmt::format("{} MiB", bytes >> 20),
                 threads, cell(pushed), cell(bare), median(ratios));
      std::fflush(stdout);
    }
  }
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  try {
    trireme::bench::run(trireme::bench::options_of(argc, argv));
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_parameter_server: {}\n", error.what());
    return 1;
  }
  return 0;
}
