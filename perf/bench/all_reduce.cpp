// All-reduce of float32 among the ranks of one node, ours beside others, in one set of processes. Run by
// perf/all_reduce, under mpirun:  bench_all_reduce [ROUNDS] [MILLISECONDS] [rewrite]
//
// Every size in turn; in each, ROUNDS rounds; in each round every contender once: a barrier, then as many
// calls as take about MILLISECONDS. A round's figure is the slowest rank's time per call; the table gives the
// median over rounds, and their spread. All memory is touched and every contender's result is checked
// beforehand.
//
// The calls of a round follow each other with nothing between, as in other benchmarks, so that small memory
// stays in the caches where the last call left it. With --rewrite every rank writes all of its memory before
// each call, as a backward pass does, and the time that this takes alone is taken off.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clones.h"
#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "comm/shared_memory.h"
#include "comm/shared_segment.h"
#include "perf/contenders/gloo.h"

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int the_rank = 0, the_size = 1;

struct Contender {
  std::string column;  // contenders of one column compete, and the best is shown
  std::string name;
  float* input;
  const float* output;
  std::function<void()> run;
  bool reduces = true;
  std::vector<double> seconds{};  // a call, by round
  long calls = 1;

  double median() const {
    std::vector<double> sorted = seconds;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<long>(sorted.size() / 2), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

// What must at least be done: read both memories, add, write both.
TRIREME_CLONES void copy_add(float* a, float* b, size_t first, size_t last) {
#pragma GCC ivdep
  for (size_t i = first; i < last; ++i) {
    float sum = a[i] + b[i];
    a[i] = sum;
    b[i] = sum;
  }
}

double slowest(double mine) {
  double worst = 0;
  MPI_Allreduce(&mine, &worst, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return worst;
}

void check(const Contender& one, size_t count) {
  if (!one.reduces) return;
  for (size_t i = 0; i < count; ++i)
    one.input[i] = static_cast<float>((i + static_cast<size_t>(the_rank)) % 13);
  MPI_Barrier(MPI_COMM_WORLD);
  one.run();
  MPI_Barrier(MPI_COMM_WORLD);
  for (size_t i = 0; i < count; ++i) {
    float expected = 0;
    for (int r = 0; r < the_size; ++r) expected += static_cast<float>((i + static_cast<size_t>(r)) % 13);
    if (one.output[i] == expected) continue;
    std::fprintf(stderr, "rank %d: %s: element %zu is %g and should be %g\n", the_rank, one.name.c_str(), i,
                 static_cast<double>(one.output[i]), static_cast<double>(expected));
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

double timed(const Contender& one, size_t bytes, bool rewrite, long calls) {
  MPI_Barrier(MPI_COMM_WORLD);
  auto start = Clock::now();
  for (long i = 0; i < calls; ++i) {
    if (rewrite) std::memset(one.input, static_cast<int>(i & 1), bytes);  // denormals or zero: sums stay so
    one.run();
  }
  return slowest(seconds_since(start) / static_cast<double>(calls));
}

std::string cell(const Contender* best, bool named) {
  if (best == nullptr) return "absent";
  auto [low, high] = std::minmax_element(best->seconds.begin(), best->seconds.end());
  auto text = fmt::format("{:.2f} ({:.2f}..{:.2f})", best->median() * 1e6, *low * 1e6, *high * 1e6);
  return named ? text + " " + best->name : text;
}

struct Options {
  int rounds = 21;
  double milliseconds = 20;
  bool rewrite = false;
  bool peers = true;
  std::vector<size_t> sizes{4u << 10, 64u << 10, 1u << 20, 4u << 20, 16u << 20, 64u << 20};
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string key = argv[i];
    auto value = [&] {
      if (++i == argc) throw UsageError("{} needs a value", key);
      return std::string(argv[i]);
    };
    if (key == "--rewrite") {
      options.rewrite = true;
    } else if (key == "--ours") {
      options.peers = false;
    } else if (key == "--rounds") {
      options.rounds = std::stoi(value());
    } else if (key == "--milliseconds") {
      options.milliseconds = std::stod(value());
    } else if (key == "--bytes") {
      options.sizes = {std::stoul(value())};
    } else {
      throw UsageError("unknown option {}", key);
    }
  }
  return options;
}

void measure(size_t bytes, const Options& options, Gloo* gloo) {
  const bool rewrite = options.rewrite;
  const size_t count = bytes / sizeof(float);
  auto shared = make_shared_memory_communicator(make_mpi_communicator(MPI_COMM_WORLD));
  auto messages = make_mpi_communicator(MPI_COMM_WORLD);
  Buffer registered = shared->allocate(bytes), registered_output = shared->allocate(bytes);
  Buffer plain(bytes), plain_output(bytes), own(bytes);
  float *a = registered.as<float>(), *b = registered_output.as<float>();
  float *p = plain.as<float>(), *q = plain_output.as<float>();
  const int n = static_cast<int>(count);

  std::vector<Contender> all;
  all.push_back({"ours", "in place", a, a, [&] { shared->all_reduce(a, count, DType::float32); }});
  all.push_back({"ours, out of place", "", a, b,
                 [&] { shared->all_reduce(a, b, count, DType::float32, ReduceOp::sum); }});
  all.push_back({"ours, plain memory", "", p, p, [&] { shared->all_reduce(p, count, DType::float32); }});
  if (options.peers) {
    all.push_back({"ours over MPI", "", p, p, [&] { messages->all_reduce(p, count, DType::float32); }});
    all.push_back({"Open MPI", "in place", p, p,
                   [&] { MPI_Allreduce(MPI_IN_PLACE, p, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); }});
    all.push_back({"Open MPI", "out of place", p, q,
                   [&] { MPI_Allreduce(p, q, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); }});
  }
  if (gloo != nullptr) {
    for (const GlooAlgorithm& one : gloo->algorithms(p, count))
      all.push_back({"gloo", one.name, p, p, one.run});
  }
  // Half each of two memories that both ranks map, both at once, and no waiting: with more ranks it is not
  // made. Each rank's two are disjoint from the other's halves, and lie as the all-reduce's do.
  SharedSegment arenas(*messages, bytes);
  if (the_size == 2) {
    const size_t half = count / 2, first = the_rank == 0 ? 0 : half, last = the_rank == 0 ? half : count;
    auto* x = reinterpret_cast<float*>(arenas.part(0));
    auto* y = reinterpret_cast<float*>(arenas.part(1));
    auto* mine = reinterpret_cast<float*>(arenas.part(the_rank));
    all.push_back({"copy-add", "", mine, mine, [=] { copy_add(x, y, first, last); }, false});
  }
  Contender nothing{"", "", own.as<float>(), own.as<float>(), [] {}, false};

  for (Contender& one : all) check(one, count);
  for (Contender& one : all) {
    std::memset(one.input, 0, bytes);
    MPI_Barrier(MPI_COMM_WORLD);
    double once = timed(one, bytes, rewrite, 1);
    once = std::min(once, timed(one, bytes, rewrite, std::clamp(static_cast<long>(2e-3 / once), 2l, 1000l)));
    one.calls = std::clamp(static_cast<long>(options.milliseconds / 1e3 / once), 2l, 200000l);
  }
  for (int round = 0; round < options.rounds; ++round) {
    double writing = rewrite ? timed(nothing, bytes, true, all[0].calls) : 0;
    for (Contender& one : all) one.seconds.push_back(timed(one, bytes, rewrite, one.calls) - writing);
  }
  if (the_rank != 0) return;

  std::map<std::string, const Contender*> best;
  for (const Contender& one : all) {
    const Contender*& champion = best[one.column];
    if (champion == nullptr || one.median() < champion->median()) champion = &one;
  }
  auto ratio = [&](const char* other) {
    return best[other] == nullptr ? std::string("-")
                                  : fmt::format("{:.2f}", best[other]->median() / best["ours"]->median());
  };
  std::string size =
      bytes < (1u << 20) ? fmt::format("{} KiB", bytes >> 10) : fmt::format("{} MiB", bytes >> 20);
  fmt::print("| {} | {} | {} | {} | {} | {} | {} | {} | **{}** | {} | {} |\n", size,
             cell(best["ours"], false), cell(best["ours, out of place"], false),
             cell(best["ours, plain memory"], false), cell(best["ours over MPI"], false),
             cell(best["Open MPI"], true), cell(best["gloo"], true), cell(best["copy-add"], false),
             ratio("Open MPI"), ratio("gloo"),
             best["copy-add"] == nullptr
                 ? "-"
                 : fmt::format("{:.0f} %", 100 * best["copy-add"]->median() / best["ours"]->median()));
  std::fflush(stdout);
}

void run(const Options& options) {
  std::vector<char> folder(256);
  if (the_rank == 0) {
    auto made = (std::filesystem::temp_directory_path() / "trireme-all-reduce-XXXXXX").string();
    std::copy(made.begin(), made.end(), folder.begin());
    if (mkdtemp(folder.data()) == nullptr) throw IoError("cannot make a folder like {}", folder.data());
  }
  MPI_Bcast(folder.data(), static_cast<int>(folder.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
  std::unique_ptr<Gloo> gloo = options.peers ? make_gloo(the_rank, the_size, folder.data()) : nullptr;
  if (the_rank == 0) {
    fmt::print(
        "| size | ours, registered | ours, out of place | ours, plain memory | ours over MPI messages "
        "| Open MPI (best) | gloo (best) | copy-add | Open MPI / ours | gloo / ours | of copy-add |\n");
    fmt::print("|---|---|---|---|---|---|---|---|---|---|---|\n");
  }
  for (size_t bytes : options.sizes) measure(bytes, options, gloo.get());
  if (the_rank == 0) std::filesystem::remove_all(folder.data());
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &trireme::bench::the_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &trireme::bench::the_size);
  try {
    trireme::bench::run(trireme::bench::options_of(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", trireme::bench::the_rank, error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}
