// The shared-memory collectives on ranks as threads: what must come out, what goes wrong, what is left
// behind.
#include "comm/shared_memory.h"

#include <gtest/gtest.h>

#include "base/error.h"

#include "comm/collectives.h"
#include "comm/thread_ranks.h"

namespace trireme {
namespace {

void on_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  run_ranks(ranks, [&](Communicator& threads) {
    auto group = make_shared_memory_communicator(threads.split(0, threads.rank()));
    body(*group);
    threads.barrier();
  });
}

TEST(SharedMemory, CollectivesEqualPlainLoops) {
  for (int ranks = 1; ranks <= 5; ++ranks) on_ranks(ranks, test::check_collectives);
}

TEST(SharedMemory, SumsHaveTheTreesBits) {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    on_ranks(ranks, [](Communicator& group) {
      for (size_t count : {1u, 7u, 1001u, 300007u}) {
        test::check_tree<float>(group, count);
        test::check_tree<double>(group, count);
        test::check_tree<BFloat16>(group, count);
        test::check_tree<Float16>(group, count);
      }
    });
  }
}

TEST(SharedMemory, Split) {
  for (int ranks : {2, 3, 5}) on_ranks(ranks, test::check_split);
}

}  // namespace
}  // namespace trireme
