// Ranks as threads: right answers in a fixed order, and never a hang when a rank goes wrong.
#include "comm/thread_ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "base/error.h"
#include "comm/collectives.h"

namespace trireme {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Threads : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, Threads, testing::Values(1, 2, 3, 4, 5));

TEST_P(Threads, CollectivesEqualPlainLoops) { run_ranks(GetParam(), test::check_collectives); }

TEST_P(Threads, SameBitsEveryTime) {
  run_ranks(GetParam(), [](Communicator& group) {
    test::check_same_bits<float>(group, 1003);
    test::check_same_bits<double>(group, 17);
    test::check_odd_values<float>(group);
  });
}

TEST_P(Threads, SumsAlongTheTree) {
  run_ranks(GetParam(), [](Communicator& group) {
    for (size_t count : {1u, 37u, 501u, 70001u}) test::check_tree<float>(group, count);
    test::check_tree<double>(group, 77);
    test::check_tree<BFloat16>(group, 1033);
    test::check_tree<Float16>(group, 1033);
  });
}

TEST_P(Threads, Split) { run_ranks(GetParam(), test::check_split); }

TEST_P(Threads, KnowsItself) {
  std::atomic<int> sum{0};
  run_ranks(GetParam(), [&](Communicator& group) {
    EXPECT_EQ(group.name(), "threads");
    EXPECT_EQ(group.size(), GetParam());
    sum += group.rank();
  });
  EXPECT_EQ(sum, GetParam() * (GetParam() - 1) / 2);
}

TEST(ThreadFaults, AnExceptionWakesTheOthersAndIsRethrown) {
  for (int thrower = 0; thrower < 3; ++thrower) {
    std::atomic<int> woken{0};
    try {
      run_ranks(3, [&](Communicator& group) {
        group.barrier();
        if (group.rank() == thrower) throw DataError("bad sample {}", 17);
        try {
          group.barrier();
        } catch (const CommError& error) {
          EXPECT_THAT(error.what(), HasSubstr(fmt::format("rank {} failed: bad sample 17", thrower)));
          EXPECT_THAT(error.what(), HasSubstr("barrier"));
          ++woken;
          throw;
        }
        FAIL() << "the barrier cannot complete";
      });
      FAIL() << "nothing was rethrown";
    } catch (const DataError& error) {
      EXPECT_STREQ(error.what(), "bad sample 17");
    }
    EXPECT_EQ(woken, 2);
  }
}

TEST(ThreadFaults, AnExceptionReachesThoseWhoWaitInAnotherGroup) {
  EXPECT_THROW(run_ranks(4,
                         [](Communicator& group) {
                           auto half = group.split(group.rank() / 2, 0);
                           if (group.rank() == 0) {
                             std::this_thread::sleep_for(std::chrono::milliseconds(20));
                             throw DataError("gone");
                           }
                           if (group.rank() == 2) {
                             half->barrier();  // rank 3 comes late, after the failure
                           } else if (group.rank() == 3) {
                             std::this_thread::sleep_for(std::chrono::milliseconds(60));
                             half->barrier();
                           } else {
                             half->barrier();  // waits for rank 0
                           }
                         }),
               DataError);
}

TEST(ThreadFaults, ARankThatReturnsEarlyIsNamed) {
  try {
    run_ranks(3, [](Communicator& group) {
      if (group.rank() == 1) return;
      float value = 1;
      group.all_reduce(&value, 1, DType::float32);
    });
    FAIL();
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 1 has returned without it"));
    EXPECT_THAT(error.what(), HasSubstr("all_reduce"));
  }
}

TEST(ThreadFaults, DisagreementIsAnError) {
  auto message = [](const std::function<void(Communicator&)>& body) -> std::string {
    try {
      run_ranks(2, body);
    } catch (const CommError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message([](Communicator& group) {
                std::vector<float> data(5);
                group.all_reduce(data.data(), group.rank() == 0 ? 4 : 5, DType::float32);
              }),
              AllOf(HasSubstr("ranks disagree: "), HasSubstr("all_reduce(4 x float32")));
  EXPECT_THAT(message([](Communicator& group) {
                double value = 0;
                group.all_reduce(&value, 1, group.rank() == 0 ? DType::float64 : DType::int64);
              }),
              HasSubstr("int64"));
  EXPECT_THAT(message([](Communicator& group) {
                double value = 0;
                if (group.rank() == 0) {
                  group.barrier();
                } else {
                  group.broadcast(&value, sizeof value, 0);
                }
              }),
              HasSubstr("broadcast"));
  EXPECT_THAT(message([](Communicator& group) {
                double value = 0;
                group.broadcast(&value, sizeof value, group.rank());
              }),
              HasSubstr("root"));
  EXPECT_THAT(message([](Communicator& group) { group.broadcast(nullptr, 0, 2); }),
              HasSubstr("there is no rank 2"));
}

TEST(ThreadFaults, NoRanks) {
  EXPECT_THROW(run_ranks(0, [](Communicator&) {}), CommError);
}

TEST(ThreadFaults, AnUnknownExceptionIsRethrownToo) {
  EXPECT_THROW(run_ranks(2,
                         [](Communicator& group) {
                           if (group.rank() == 1) throw 42;
                           group.barrier();
                         }),
               int);
}

TEST(Self, CollectivesEqualPlainLoops) {
  auto self = make_self_communicator();
  EXPECT_EQ(self->name(), "self");
  test::check_collectives(*self);
  test::check_same_bits<float>(*self, 33);
  auto part = self->split(3, 3);
  test::check_collectives(*part);
  char byte = 0;
  EXPECT_THROW(self->broadcast(&byte, 1, 1), CommError);
}

}  // namespace
}  // namespace trireme
