// Throughput of pushes and pulls between one worker and one server, two processes of this machine. Run by
// perf/parameter_server:
//
//   bench_parameter_server_transfer push|pull|both BYTES SECONDS mapped|gets|messages copy|nothing
//   [OUTSTANDING] [any]
//
// push: next() and push() of BYTES of float32, ticket after ticket; pull: pull(), one after another; both:
// next(), pull(), push(), and no pull waits for the acknowledgement of the push before it. What the server
// does with a gradient: it copies it over its values, or nothing. Each process has a core of its own, unless
// `any`. Transports: UCX_TLS. Prints MB/s (2^20 bytes a second; both: of pushes and pulls together).
//
//   bench_parameter_server_transfer memcpy BYTES SECONDS       the bytes copied from memory of another
//   process
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/parameter_server/client.h"
#include "comm/parameter_server/server.h"

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t block_elements = size_t{1} << 16;  // as trainings have

void bind_to(int core) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  sched_setaffinity(0, sizeof(cores), &cores);
}

ShardLayout layout_of(size_t bytes) {
  ShardLayout layout;
  layout.blocks = even_blocks(bytes / sizeof(float), block_elements);
  return layout;
}

class Rules : public ShardRules {
 public:
  explicit Rules(bool copies) : copies_(copies) {}
  void update(size_t, Range block, float* values, const float* gradient, const float*, const UpdateInfo&,
              ShardState) override {
    if (copies_) std::memcpy(values + block.begin, gradient, block.size() * sizeof(float));
  }
  void copy_slots(size_t, Range) override {}

 private:
  bool copies_;
};

// Serves until killed.
[[noreturn]] void serve(const std::filesystem::path& meeting, size_t bytes, bool copies) {
  try {
    Rules rules(copies);
    HostedShard shard;
    shard.layout = layout_of(bytes);
    shard.rules = &rules;
    shard.start_values = [](std::span<float> values) { std::fill(values.begin(), values.end(), 1.0f); };
    shard.slots = [](ShardState) { return std::vector<std::span<const float>>{}; };
    ServerOptions options;
    options.meeting = meeting;
    options.job = "bench";
    options.coordinator.pieces = 1;
    options.coordinator.staleness = -1;
    options.coordinator.end_clock = int64_t{1} << 40;
    ServerEvents events;
    events.next_cut = [](int64_t) { return int64_t{1} << 40; };
    events.ticket_done = [](const TicketReport&, int64_t) {};
    events.cut = [](int64_t, std::vector<StateRow>, bool) {};
    events.coordinates = [](bool) {};
    events.tell = [](const std::string& text, bool warning) {
      if (warning) std::fprintf(stderr, "server: %s\n", text.c_str());
    };
    events.end = [](const EndOfJob& end) { _exit(end.code); };
    std::vector<HostedShard> shards;
    shards.push_back(std::move(shard));
    ParameterServer server(options, std::move(shards), events);
    for (;;) pause();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "server: %s\n", error.what());
    _exit(70);
  }
}

// Seconds that `run(count)` takes a time, by as many as fit into `seconds`.
template <class Run>
double seconds_each(double seconds, Run&& run) {
  auto timed = [&](long count) {
    const auto start = Clock::now();
    run(count);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  timed(10);
  const double once = timed(10) / 10;
  const long count = std::max(8l, static_cast<long>(seconds / once));
  return timed(count) / static_cast<double>(count);
}

double measure(const std::filesystem::path& meeting, const std::string& operation, size_t bytes,
               double seconds, const std::string& transfer, int outstanding) {
  std::vector<float> values(bytes / sizeof(float)), gradients(bytes / sizeof(float), 1.0f);
  ClientOptions options;
  options.meeting = meeting;
  options.job = "bench";
  options.rank = 1;
  options.start_seconds = 10;
  options.sees_own_pushes = false;
  options.most_outstanding = outstanding;
  options.transfer = transfer == "mapped" ? ClientOptions::Transfer::mapped
                     : transfer == "gets" ? ClientOptions::Transfer::gets
                                          : ClientOptions::Transfer::messages;
  ParameterServerClient client(options, {{layout_of(bytes), {std::span<float>(values)}}});
  PullReport pulled;
  std::vector<PushSource> source{{{gradients, {}, {}}, {}, 0}};
  if (operation == "pull") client.next();  // who has no ticket may not pull
  auto run = [&](long count) {
    for (long i = 0; i < count; ++i) {
      if (operation == "pull") {
        if (client.pull().bytes != bytes) throw CommError("a pull came to nothing");
        continue;
      }
      const std::optional<Ticket> ticket = client.next();
      if (!ticket) throw CommError("the server has no more tickets");
      if (operation == "both") pulled = client.pull();
      client.push(*ticket, PayloadFormat::float32, source, pulled, {});
    }
    client.wait_for_pushes();
  };
  const double each = seconds_each(seconds, run);
  if (client.times_joined() != 1) throw CommError("the worker was taken for dead");
  return static_cast<double>(bytes) * (operation == "both" ? 2 : 1) / each / (1 << 20);
}

double measure_memcpy(size_t bytes, double seconds) {
  void* source = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  std::vector<char> into(bytes);
  if (source == MAP_FAILED) throw CommError("no shared memory");
  std::memset(source, 1, bytes);
  const double each = seconds_each(seconds, [&](long count) {
    for (long i = 0; i < count; ++i) {
      std::memcpy(into.data(), source, bytes);
      asm volatile("" : : "r"(into.data()) : "memory");
    }
  });
  return static_cast<double>(bytes) / each / (1 << 20);
}

int run(int argc, char** argv) {
  const std::string operation = argc > 1 ? argv[1] : "";
  if (argc == 4 && operation == "memcpy") {
    bind_to(0);
    std::printf("%.1f\n", measure_memcpy(std::stoull(argv[2]), std::stod(argv[3])));
    return 0;
  }
  if (argc < 6) {
    std::fprintf(stderr,
                 "usage: bench_parameter_server_transfer push|pull|both BYTES SECONDS mapped|gets|messages "
                 "copy|nothing [OUTSTANDING] [any]\n");
    return 64;
  }
  const size_t bytes = std::stoull(argv[2]);
  const bool bound = argc < 8;
  char folder[] = "/tmp/parameter_server_transfer.XXXXXX";
  if (mkdtemp(folder) == nullptr) return 71;
  const std::filesystem::path meeting = std::filesystem::path(folder) / "meeting.json";
  const pid_t child = fork();
  if (child == 0) {
    if (bound) bind_to(1);
    serve(meeting, bytes, std::string(argv[5]) == "copy");
  }
  int code = 0;
  try {
    if (bound) bind_to(0);
    std::printf("%.1f\n", measure(meeting, operation, bytes, std::stod(argv[3]), argv[4],
                                  argc > 6 ? std::stoi(argv[6]) : ClientOptions().most_outstanding));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_parameter_server_transfer: %s\n", error.what());
    code = 70;
  }
  std::fflush(stdout);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  std::filesystem::remove_all(folder);
  return code;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::run(argc, argv); }
