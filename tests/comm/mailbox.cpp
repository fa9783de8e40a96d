// Mailboxes and groups of ranks that are threads, and of a lone process.
#include "comm/mailbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "comm/mailboxes.h"
#include "comm/world.h"

namespace trireme {
namespace {

using testing::HasSubstr;

class Mailboxes : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, Mailboxes, testing::Values(1, 2, 3, 4, 8));

TEST_P(Mailboxes, Everything) {
  run_meeting_ranks(GetParam(), [](Meeting& meeting) { test::check_everything(meeting, 2'000'000); });
}

TEST(LoneMailbox, Everything) {
  World world;
  Meeting meeting = world.meeting();
  test::check_everything(meeting, 2'000'000);
}

// Whoever waits for a letter, a piece or a group is woken, and what is thrown is what went wrong first.
TEST(MailboxFaults, AnExceptionWakesTheOthers) {
  std::atomic<int> woken{0};
  auto body = [&](Meeting& meeting) {
    auto mailbox = meeting.mailbox(1);
    std::vector<std::byte> memory(10);
    try {
      if (meeting.rank == 0) {
        auto posting = mailbox->post(1, 4, {memory});  // nobody takes it
        for (int i = 0; i < 3; ++i) test::next_text(*mailbox);
        throw DataError("bad sample 17");
      }
      mailbox->send(0, 1, "here");
      if (meeting.rank == 1) mailbox->receive(test::generous_seconds);
      if (meeting.rank == 2) mailbox->take(0, 5, {memory}, {});
      if (meeting.rank == 3) meeting.groups->make({0, 3});
      ADD_FAILURE() << "rank " << meeting.rank << " goes on";
    } catch (const CommError& error) {
      EXPECT_THAT(error.what(), HasSubstr("failed"));
      ++woken;
      throw;
    }
  };
  EXPECT_THROW(run_meeting_ranks(4, body), DataError);
  EXPECT_EQ(woken, 3);
}

TEST(MailboxFaults, PiecesOfOtherLengthsAreRefused) {
  auto attempt = [](size_t posted, size_t wanted) {
    run_meeting_ranks(2, [&](Meeting& meeting) {
      auto mailbox = meeting.mailbox(1);
      std::vector<std::byte> memory(64);
      if (meeting.rank == 0) {
        mailbox->post(1, 0, {std::span(memory).first(1), std::span(memory).first(posted)});
      } else {
        mailbox->take(0, 0, {std::span(memory).first(1), std::span(memory).first(wanted)}, {});
      }
    });
  };
  attempt(20, 20);
  EXPECT_THROW(attempt(20, 19), CommError);
  EXPECT_THROW(attempt(20, 21), CommError);
}

TEST(MailboxFaults, ARankThatReturnsIsNamed) {
  try {
    run_meeting_ranks(2, [](Meeting& meeting) {
      std::vector<std::byte> memory(1);
      if (meeting.rank == 1) meeting.mailbox(1)->take(0, 7, {memory}, {});
    });
    FAIL();
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 0 has returned without it"));
  }
  run_meeting_ranks(2, [](Meeting& meeting) {  // nobody will ever take it
    std::vector<std::byte> memory(1);
    if (meeting.rank == 1) meeting.mailbox(1)->post(0, 7, {memory});
  });
}

}  // namespace
}  // namespace trireme
