// Throughput of comm/ucx between two processes of this machine, as ucx_perftest measures it: one buffer a
// side, a window of operations under way, the source's data unchanged. Run by perf/ucx:
//
//   bench_ucx send|get|fetch BYTES SECONDS WINDOW listener|address
//
// Transports: UCX_TLS. Prints MB/s (2^20 bytes). The receiver of messages does what ucx_perftest's does:
// takes rendezvous data into its one buffer, and leaves eager data where it came.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <list>
#include <memory>
#include <string>

#include "comm/ucx/endpoint.h"
#include "comm/ucx/listener.h"
#include "comm/ucx/memory.h"
#include "comm/ucx/status.h"
#include "comm/ucx/worker.h"

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;

enum Number : unsigned { kData = 1, kAddress, kKey, kFetch, kDone };
enum class Operation { send, get, fetch };

void bind_to(int core) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  sched_setaffinity(0, sizeof(cores), &cores);
}

void write_all(int descriptor, const void* data, size_t bytes) {
  if (write(descriptor, data, bytes) != static_cast<ssize_t>(bytes)) _exit(1);
}

void read_all(int descriptor, void* data, size_t bytes) {
  auto* into = static_cast<char*>(data);
  while (bytes > 0) {
    ssize_t got = read(descriptor, into, bytes);
    if (got <= 0) _exit(1);
    into += got;
    bytes -= static_cast<size_t>(got);
  }
}

void write_block(int descriptor, const std::vector<std::byte>& block) {
  const size_t bytes = block.size();
  write_all(descriptor, &bytes, sizeof(bytes));
  write_all(descriptor, block.data(), bytes);
}

std::vector<std::byte> read_block(int descriptor) {
  size_t bytes = 0;
  read_all(descriptor, &bytes, sizeof(bytes));
  std::vector<std::byte> block(bytes);
  read_all(descriptor, block.data(), bytes);
  return block;
}

// Serves until killed.
[[noreturn]] void serve(int output, size_t bytes) {
  bind_to(1);
  UcxContext context;
  UcxMemory memory = UcxMemory::allocate(context, bytes);
  UcxWorker worker(context);
  std::list<UcxEndpoint> endpoints;
  UcxEndpoint* way_back = nullptr;
  UcxListener listener(worker, "127.0.0.1", 0, [&](ucp_conn_request_h request, std::string peer) {
    endpoints.push_back(UcxEndpoint::accept(worker, request, peer));
    way_back = &endpoints.back();
  });
  worker.on_message(kData, [&](UcxMessage&& message) {
    if (!message.is_here()) message.receive(memory.bytes().data(), bytes);
  });
  worker.on_message(kAddress, [&](UcxMessage&& message) {
    endpoints.push_back(UcxEndpoint::connect(worker, message.data()));
    way_back = &endpoints.back();
  });
  std::unique_ptr<UcxRemoteKey> source;
  uint64_t source_address = 0;
  auto answer = [&](ucs_status_t status) {
    check_ucx(status, "a get of the bench");
    way_back->send(kDone, {}, nullptr, 0);
  };
  worker.on_message(kKey, [&](UcxMessage&& message) {
    std::memcpy(&source_address, message.header().data(), sizeof(source_address));
    source = std::make_unique<UcxRemoteKey>(*way_back, message.data());
  });
  worker.on_message(kFetch, [&](UcxMessage&&) {
    way_back->get(memory.bytes().data(), bytes, source_address, *source, answer);
  });
  const uint16_t port = listener.port();
  const uint64_t address = memory.address();
  write_all(output, &port, sizeof(port));
  write_all(output, &address, sizeof(address));
  write_block(output, worker.address());
  write_block(output, memory.packed_key());
  for (;;) worker.progress();
}

double measure(int input, Operation operation, size_t bytes, double seconds, size_t window, bool by_address) {
  bind_to(0);
  uint16_t port = 0;
  uint64_t remote = 0;
  read_all(input, &port, sizeof(port));
  read_all(input, &remote, sizeof(remote));
  const auto address = read_block(input), packed = read_block(input);
  UcxContext context;
  UcxMemory memory = UcxMemory::allocate(context, bytes);
  UcxWorker worker(context);
  UcxEndpoint endpoint =
      by_address ? UcxEndpoint::connect(worker, address) : UcxEndpoint::connect(worker, "127.0.0.1", port);
  const auto own = worker.address();
  if (by_address) endpoint.send(kAddress, {}, own.data(), own.size()).wait(worker, std::chrono::seconds(10));
  while (!endpoint.connected()) worker.progress();
  UcxRemoteKey key(endpoint, packed);

  size_t under_way = 0;
  auto done = [&](ucs_status_t status) {
    check_ucx(status, "an operation of the bench");
    --under_way;
  };
  worker.on_message(kDone, [&](UcxMessage&&) { --under_way; });
  const auto own_key = memory.packed_key();
  const uint64_t own_address = memory.address();
  if (operation == Operation::fetch) {
    endpoint
        .send(kKey, std::as_bytes(std::span<const uint64_t, 1>(&own_address, 1)), own_key.data(),
              own_key.size())
        .wait(worker, std::chrono::seconds(10));
  }
  auto run = [&](long count) {
    for (long i = 0; i < count; ++i) {
      while (under_way >= window) worker.progress();
      ++under_way;
      if (operation == Operation::fetch) {
        endpoint.send(kFetch, {}, nullptr, 0);
      } else if (operation == Operation::get) {
        endpoint.get(memory.bytes().data(), bytes, remote, key, done);
      } else {
        endpoint.send(kData, {}, memory.bytes().data(), bytes, done);
      }
    }
    while (under_way > 0) worker.progress();
  };
  auto timed = [&](long count) {
    const auto start = Clock::now();
    run(count);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  run(10);
  const double once = timed(20) / 20;
  const long count = std::max(8l, static_cast<long>(seconds / once));
  return static_cast<double>(count) * static_cast<double>(bytes) / timed(count) / (1 << 20);
}

int run(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench_ucx send|get|fetch BYTES SECONDS WINDOW listener|address\n");
    return 64;
  }
  const std::string name = argv[1];
  const Operation operation = name == "get"     ? Operation::get
                              : name == "fetch" ? Operation::fetch
                                                : Operation::send;
  const size_t bytes = std::stoull(argv[2]);
  int pipes[2];
  if (pipe(pipes) != 0) return 71;
  const pid_t child = fork();
  if (child == 0) serve(pipes[1], bytes);
  int code = 0;
  try {
    std::printf("%.1f\n", measure(pipes[0], operation, bytes, std::stod(argv[3]), std::stoull(argv[4]),
                                  std::string(argv[5]) == "address"));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_ucx: %s\n", error.what());
    code = 70;
  }
  std::fflush(stdout);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  _exit(code);  // the peer is gone: closing in good order would wait for it
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) { return trireme::bench::run(argc, argv); }
