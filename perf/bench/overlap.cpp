// How much of the exchange the backward pass hides when a rank has a core to spare for its communication
// thread.
//   mpirun -n 2 --bind-to none build/release/bin/bench_overlap
//
// Two cores, two ranks. Rank 0 trains: it computes on core 0, its communication thread runs on core 1, the
// spare one. Rank 1 has no batch and computes nothing; it only takes part in every exchange, on core 1 as
// well. So an exchange has one core for both ranks' halves of the work, where a real node with spare cores
// would have two: exchange seconds here are an upper bound. Rank 1 is always early: rank 0 waits for no
// straggler. Prints a Markdown table, medians over rounds that alternate between overlap off and on.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "comm/run_main.h"
#include "comm/world.h"
#include "exec/compile.h"
#include "exec/executor.h"
#include "exec/initialize.h"
#include "perf/bench/nets.h"
#include "train/allreduce.h"
#include "train/strategies.h"

namespace trireme::bench {
namespace {

constexpr int rounds = 7;

void pin_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) throw CommError("bench_overlap needs cores 0 and 1");
}

struct Seconds {
  double step = 0, exposed = 0, hidden = 0;
};

Seconds median(std::vector<Seconds> all) {
  auto middle = [&](double Seconds::*member) {
    std::nth_element(all.begin(), all.begin() + static_cast<long>(all.size() / 2), all.end(),
                     [member](const Seconds& a, const Seconds& b) { return a.*member < b.*member; });
    return all[all.size() / 2].*member;
  };
  return {middle(&Seconds::step), middle(&Seconds::exposed), middle(&Seconds::hidden)};
}

// A net's step with its exchange, on both ranks.
class Subject {
 public:
  Subject(const std::string& kind, int64_t batch, size_t bucket_bytes, Communicator& group)
      : group_(group),
        program_(compile_training(training_graph(kind, batch), {})),
        arenas_(program_.layout, group),
        workspace_(program_.plan.bytes),
        inputs_(program_.graph),
        backend_(make_cpu_backend({1})),
        scalars_{1, 0, 0, 1.0 / static_cast<double>(batch)} {
    initialize_arenas(program_.graph, 1, arenas_);
    executor_ = std::make_unique<Executor>(program_, *backend_, arenas_, workspace_);
    AllReduceOptions options;
    options.bucket_bytes = bucket_bytes;
    OptimizerConfig sgd;
    auto rule = [&] { return make_optimizer(sgd, update_spans(parameter_tensors(arenas_.layout), sgd)); };
    pin_to(1);  // threads begin where they are made
    for (bool overlap : {false, true}) {
      exchangers_.push_back(std::make_unique<Exchanger>(overlap && group_.rank() == 0));
      strategies_.push_back(
          std::make_unique<AllReduceStrategy>(arenas_, group_, *exchangers_.back(), rule(), options));
    }
    pin_to(group_.rank() == 0 ? 0 : 1);
  }

  double gradient_bytes() const { return static_cast<double>(arenas_.gradients.bytes()); }

  // The mean of `steps` steps. Collective.
  Seconds run(bool overlap, int steps) {
    AllReduceStrategy& strategy = *strategies_[overlap ? 1 : 0];
    Executor::RangeReady ready = [&](Range range) { strategy.range_ready(range); };
    Seconds sum;
    group_.barrier();
    for (int i = 0; i < steps; ++i) {
      auto begin = std::chrono::steady_clock::now();
      strategy.begin_step({});
      if (group_.rank() == 0) {
        backend_->parameters_changed();
        executor_->step(inputs_.addresses, scalars_, ready);
      } else {
        ready({0, arenas_.layout.gradient_elements});
      }
      StepReport report = strategy.finish_exchange();
      sum.step += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      sum.exposed += report.exchange.exposed;
      sum.hidden += report.exchange.hidden;
    }
    return {sum.step / steps, sum.exposed / steps, sum.hidden / steps};
  }

 private:
  Communicator& group_;
  Program program_;
  Arenas arenas_;
  Buffer workspace_;
  Inputs inputs_;
  std::unique_ptr<Backend> backend_;
  StepScalars scalars_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::unique_ptr<Exchanger>> exchangers_;
  std::vector<std::unique_ptr<AllReduceStrategy>> strategies_;
};

void measure(const std::string& kind, int64_t batch, size_t bucket_bytes, Communicator& group) {
  Subject subject(kind, batch, bucket_bytes, group);
  double warm = subject.run(false, 3).step;
  group.broadcast(&warm, sizeof warm, 0);
  int steps = std::clamp(static_cast<int>(0.3 / warm), 3, 200);
  std::vector<Seconds> of[2];
  for (int round = 0; round < rounds; ++round) {
    for (bool overlap : {false, true}) of[overlap ? 1 : 0].push_back(subject.run(overlap, steps));
  }
  if (group.rank() != 0) return;
  Seconds off = median(of[0]), on = median(of[1]);
  std::printf("| %s, batch %ld | %.2f | %.2f | %.2f | %.3f | %.2f | %.3f | %.3f | %.0f %% |\n", kind.c_str(),
              static_cast<long>(batch), subject.gradient_bytes() / 1048576,
              static_cast<double>(bucket_bytes) / 1048576, off.step * 1e3, off.exposed * 1e3, on.step * 1e3,
              on.exposed * 1e3, on.hidden * 1e3, 100 * (1 - on.exposed / off.exposed));
}

int body(int, char**) {
  World world;
  Communicator& group = world.communicator();
  if (group.size() != 2)
    throw UsageError("bench_overlap: start two ranks: mpirun -n 2 --bind-to none bench_overlap");
  if (group.rank() == 0) {
    std::printf(
        "| net | gradients, MiB | bucket, MiB | step, off, ms | exchange, off, ms | step, on, ms | exposed, "
        "on, ms | "
        "hidden, on, ms | taken off the step |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  }
  for (size_t bucket : {size_t{256} << 10, size_t{1} << 20, size_t{4} << 20}) {
    measure("lenet", 32, bucket, group);
    measure("cnn", 32, bucket, group);
    measure("gpt", 16, bucket, group);
    measure("mlp", 32, bucket, group);
  }
  return 0;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  return trireme::run_main("bench_overlap", argc, argv, trireme::bench::body);
}
