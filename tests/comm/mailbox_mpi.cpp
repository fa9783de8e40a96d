// Mailboxes and groups of ranks that are processes; run by mpirun on 2 and 4 ranks.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "comm/mailboxes.h"
#include "comm/run_main.h"
#include "comm/world.h"

namespace trireme {
namespace {

// Of main; tests only use them.
World* the_world = nullptr;
Meeting* the_meeting = nullptr;

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

TEST(MpiMailboxes, Meeting) {
  EXPECT_EQ(the_meeting->rank, the_world->rank());
  EXPECT_EQ(the_meeting->size, the_world->size());
  EXPECT_EQ(the_meeting->groups->nodes(), std::vector<int>(static_cast<size_t>(the_world->size()), 0));
}

TEST(MpiMailboxes, Refusals) { test::check_refusals(*the_meeting); }
TEST(MpiMailboxes, Order) { test::check_order(*the_meeting); }
TEST(MpiMailboxes, Controller) {
  double median = test::check_controller(*the_meeting);
  std::printf("rank %d: from question to answer %.0f us\n", the_meeting->rank, median * 1e6);
}
TEST(MpiMailboxes, Pieces) { test::check_pieces(*the_meeting, 20'000'000); }
TEST(MpiMailboxes, PostingBesideLetters) { test::check_posting_beside_letters(*the_meeting); }
TEST(MpiMailboxes, Groups) { test::check_groups(*the_meeting); }

// Who waits leaves the processor to the others.
TEST(MpiMailboxes, WaitingCostsNothing) {
  auto mailbox = the_meeting->mailbox(1);
  double before = processor_seconds();
  EXPECT_FALSE(mailbox->receive(1).has_value());
  EXPECT_LT(processor_seconds() - before, 0.1);
}

// A second meeting of the same ranks is another one.
TEST(MpiMailboxes, SecondMeeting) {
  Meeting second = the_world->meeting();
  auto first_box = the_meeting->mailbox(1), second_box = second.mailbox(1);
  int next = (second.rank + 1) % second.size;
  first_box->send(next, 1, "first");
  second_box->send(next, 1, "second");
  EXPECT_EQ(test::next_text(*second_box), "second");
  EXPECT_EQ(test::next_text(*first_box), "first");
  the_world->communicator().barrier();
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return trireme::run_main("test_comm_mailbox_mpi", argc, argv, [](int, char**) {
    trireme::World world;
    trireme::Meeting meeting = world.meeting();
    trireme::the_world = &world;
    trireme::the_meeting = &meeting;
    int result = RUN_ALL_TESTS();
    float worst = static_cast<float>(result);
    world.communicator().all_reduce(&worst, 1, trireme::DType::float32, trireme::ReduceOp::max);
    return static_cast<int>(worst);
  });
}
