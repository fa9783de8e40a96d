#include "base/program_output.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

namespace trireme {
namespace {

TEST(ProgramOutput, IsWhatTheProgramWrites) {
  EXPECT_EQ(program_output({"printf", "%s-%s", "two words", "$HOME"}, 10), "two words-$HOME");
}

TEST(ProgramOutput, IsWholeWhereItIsLong) {
  auto text = program_output({"sh", "-c", "yes trireme | head -n 100000"}, 30);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->size(), 800000u);
}

TEST(ProgramOutput, IsNothingWhereTheProgramFailsOrIsMissing) {
  EXPECT_FALSE(program_output({"sh", "-c", "echo half; exit 3"}, 10));
  EXPECT_FALSE(program_output({"sh", "-c", "echo half; kill -KILL $$"}, 10));
  EXPECT_FALSE(program_output({"no-such-program-of-ours"}, 10));
}

TEST(ProgramOutput, AnAnswerHasTheCodeAndBothStreams) {
  auto answer = ask_program({"sh", "-c", "echo said; echo complained >&2; exit 3"}, 10);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, 3);
  EXPECT_EQ(answer->output, "said\n");
  EXPECT_EQ(answer->errors, "complained\n");
  auto much = ask_program({"sh", "-c", "yes trireme | head -n 100000 >&2; yes trireme | head -n 100000"}, 30);
  ASSERT_TRUE(much);
  EXPECT_EQ(much->errors.size(), 800000u);
  EXPECT_EQ(much->output.size(), 800000u);
}

TEST(ProgramOutput, DoesNotWaitLongerThanItMay) {
  auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(program_output({"sh", "-c", "echo half; exec sleep 60"}, 0.2));
  EXPECT_FALSE(program_output({"sh", "-c", "exec sleep 60 >&-"}, 0.2)) << "one that writes nothing more";
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(ProgramOutput, GivesTheProgramItsVariables) {
  ::setenv("TRIREME_TEST_KEPT", "kept", 1);
  ::setenv("TRIREME_TEST_REPLACED", "old", 1);
  EXPECT_EQ(program_output({"sh", "-c", "printf '%s %s' $TRIREME_TEST_KEPT $TRIREME_TEST_REPLACED"}, 10,
                           {"TRIREME_TEST_REPLACED=new"}),
            "kept new");
}

TEST(ProgramOutput, DoesNotHandOnBlockedSignals) {
  sigset_t set;
  sigset_t former;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, &former);
  EXPECT_FALSE(program_output({"sh", "-c", "kill -TERM $$; echo still there"}, 10));
  pthread_sigmask(SIG_SETMASK, &former, nullptr);
}

}  // namespace
}  // namespace trireme
