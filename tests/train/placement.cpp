#include "train/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "comm/thread_ranks.h"
#include "support/expect_error.h"

namespace trireme {
namespace {

TEST(Placement, thread_ranks_share_this_process) {
  for (int ranks : {1, 2, 4}) {
    run_ranks(ranks, [ranks](Communicator& communicator) {
      Placement placement = place_ranks(communicator);
      EXPECT_EQ(placement.hosts, 1);
      EXPECT_EQ(placement.core_sharers, ranks);
      EXPECT_GE(placement.cores, 1);
      EXPECT_EQ(placement.threads(), std::max(1, placement.cores / ranks));
    });
  }
}

TEST(Agreement, names_those_who_differ) {
  run_ranks(4, [](Communicator& communicator) {
    EXPECT_NO_THROW(require_agreement(communicator, "the configs", 7));
    test::expect_error(ExitCode::internal, {"the configs of rank 1, 3 differ"}, [&] {
      require_agreement(communicator, "the configs", communicator.rank() % 2 == 1 ? 8 : 7);
    });
  });
}

TEST(Fingerprint, sees_every_bit) {
  std::string text(101, 'a');
  uint64_t whole = fingerprint(text.data(), text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = text;
      other[i] = static_cast<char>(other[i] ^ (1 << bit));
      EXPECT_NE(fingerprint(other.data(), other.size()), whole);
    }
  }
  EXPECT_NE(fingerprint(text.data(), 100), whole);
}

}  // namespace
}  // namespace trireme
