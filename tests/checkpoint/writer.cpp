// The writer under kills, full disks and its own keep rule.
#include "checkpoint/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "base/error.h"
#include "checkpoint/sample.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::Folder;
using test::listing;
using test::put_text;
using test::Sample;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

void no_warning(const std::string& text) { ADD_FAILURE() << text; }

TEST(Writer, KeepsTheNewest) {
  Folder folder;
  for (int64_t step : {10, 20, 30, 40}) save_checkpoint(folder.path(), Sample(step).content, {2});
  EXPECT_THAT(listing(folder.path()), ElementsAre("step-0000000030", "step-0000000040"));
  save_checkpoint(folder.path(), Sample(50).content, {0});
  EXPECT_THAT(listing(folder.path()), ElementsAre("step-0000000030", "step-0000000040", "step-0000000050"));
  save_checkpoint(folder.path(), Sample(60).content, {1});
  EXPECT_THAT(listing(folder.path()), ElementsAre("step-0000000060"));
  auto found = list_checkpoints(folder.path());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].step, 60);
}

TEST(Writer, ReplacesTheSameStep) {
  Folder folder;
  save_checkpoint(folder.path(), Sample(10).content, {2});
  for (int time = 0; time < 3; ++time) {
    Sample changed(100 + time);
    changed.content.run.step = 10;
    save_checkpoint(folder.path(), changed.content, {2});
    auto found = open_newest_checkpoint(folder.path(), no_warning);
    ASSERT_TRUE(found);
    test::expect_equal(*found, changed);
    EXPECT_EQ(listing(found->directory()).size(), 2u) << "the former state is gone";
  }
}

TEST(Writer, LaterStepsAreLeftBehind) {
  Folder folder;
  for (int64_t step : {10, 20, 30}) save_checkpoint(folder.path(), Sample(step).content, {0});
  Sample sample(15);
  save_checkpoint(folder.path(), sample.content, {1});  // fell back to 10, or began afresh
  EXPECT_THAT(listing(folder.path()), ElementsAre("step-0000000015"));
}

TEST(Writer, ClearsLeftoversAndNothingElse) {
  Folder folder;
  fs::path good = save_checkpoint(folder.path(), Sample(10).content, {3});
  fs::create_directory(folder.path() / "step-0000000005");
  put_text(folder.path() / "step-0000000005" / "state.h5", "half");
  put_text(good / "state.h5.partial-4711", "half");
  put_text(good / "state-0001-1.h5", "half");
  put_text(folder.path() / "notes.txt", "mine");
  fs::create_directory(folder.path() / "best");
  save_checkpoint(folder.path(), Sample(20).content, {3});
  EXPECT_THAT(listing(folder.path()), ElementsAre("best", "notes.txt", "step-0000000010", "step-0000000020"));
  EXPECT_THAT(listing(good), ElementsAre("manifest.json", StartsWith("state-")));
}

// A child saves step after step, the parent kills it at a random moment: what it finds is always whole, and
// at least as new as the last save that the child reported.
TEST(Writer, KilledAtAnyMoment) {
  Folder folder;
  std::mt19937 random(1);
  // Up to three saves long, however busy the machine.
  auto begin = std::chrono::steady_clock::now();
  save_checkpoint(folder.path(), Sample(1, 4000).content, {1});
  auto longest =
      3 * std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  int64_t next = 2;
  int64_t progress = 1;
  for (int round = 0; round < 40; ++round) {
    int report[2];
    ASSERT_EQ(::pipe(report), 0);
    pid_t child = ::fork();
    if (child == 0) {
      ::close(report[0]);
      for (int64_t step = next;; ++step) {
        try {
          save_checkpoint(folder.path(), Sample(step, 4000).content, {1 + step % 3});
        } catch (const std::exception& error) {
          std::fprintf(stderr, "%s\n", error.what());
          ::_exit(1);
        }
        if (::write(report[1], &step, sizeof step) != sizeof step) ::_exit(1);
      }
    }
    ::close(report[1]);
    std::this_thread::sleep_for(longest * static_cast<int>(random() % 1000) / 1000);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
    int64_t reported = 0;
    for (int64_t step; ::read(report[0], &step, sizeof step) == sizeof step;) reported = step;
    ::close(report[0]);
    progress = std::max(progress, reported);

    auto found = open_newest_checkpoint(folder.path(), no_warning);
    if (found) {
      EXPECT_GE(found->run().step, progress);
      EXPECT_LE(found->run().step, progress + 1);
      test::expect_equal(*found, Sample(found->run().step, 4000));
      progress = found->run().step;
      next = progress + 1;
    } else {
      EXPECT_EQ(progress, 0);
    }
  }
  EXPECT_GT(progress, 3) << "the kills came too early to show anything";
  save_checkpoint(folder.path(), Sample(next).content, {1});
  EXPECT_EQ(listing(folder.path()).size(), 1u) << "leftovers of killed writers";
}

// The same step again and again, as at an epoch's end that is the run's end too: one whole version or the
// other.
TEST(Writer, KilledWhileReplacing) {
  Folder folder;
  auto version = [](int64_t number) {
    Sample sample(number, 4000);
    sample.content.run.step = 7;
    return sample;
  };
  save_checkpoint(folder.path(), version(0).content, {1});
  std::mt19937 random(2);
  for (int round = 0; round < 20; ++round) {
    pid_t child = ::fork();
    if (child == 0) {
      for (int64_t number = 0;; ++number) save_checkpoint(folder.path(), version(number % 5).content, {1});
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 50000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    auto found = open_newest_checkpoint(folder.path(), no_warning);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->run().step, 7);
  }
}

// A limit on the size of files: write(2) fails in the middle of state.h5.
TEST(Writer, AFailedWriteLeavesNothing) {
  Folder folder;
  Sample older(10);
  save_checkpoint(folder.path(), older.content, {3});
  pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save_checkpoint(folder.path(), Sample(20, 20000).content, {1});
    } catch (const IoError& error) {
      ::_exit(std::string(error.what()).find("-0.h5") != std::string::npos ? 7 : 9);
    }
    ::_exit(8);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_THAT(listing(folder.path()), ElementsAre("step-0000000010"));
  auto found = open_newest_checkpoint(folder.path(), no_warning);
  ASSERT_TRUE(found);
  test::expect_equal(*found, older);
}

class SmallDisk {
 public:
  explicit SmallDisk(const fs::path& at) : at_(at) {
    fs::create_directories(at);
    mounted_ = ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=1m") == 0;
    error_ = mounted_ ? "" : std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted_) ::umount(at_.c_str());
  }
  bool mounted() const { return mounted_; }
  const std::string& error() const { return error_; }

 private:
  fs::path at_;
  bool mounted_ = false;
  std::string error_;
};

TEST(Writer, FullDisk) {
  Folder folder;
  fs::path disk = folder.path() / "disk";
  SmallDisk small(disk);
  if (!small.mounted()) GTEST_SKIP() << "a tmpfs cannot be mounted here (needs root): " << small.error();
  Sample older(10, 3000);  // about 250 KB
  save_checkpoint(disk / "checkpoints", older.content, {3});
  for (size_t bulk : {12000u, 10500u, 60000u}) {  // full within the state
    try {
      save_checkpoint(disk / "checkpoints", Sample(20, bulk).content, {1});
      FAIL() << "1 MB does not hold this";
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), HasSubstr("No space left"));
    }
    EXPECT_THAT(listing(disk / "checkpoints"), ElementsAre("step-0000000010"));
    auto found = open_newest_checkpoint(disk / "checkpoints", no_warning);
    ASSERT_TRUE(found);
    test::expect_equal(*found, older);
  }
  // Full to the last page, so that the state fits by replacing nothing, but its manifest does not.
  Sample tiny(30, 10);
  size_t room = fs::space(disk).available;
  size_t state = 0;
  {
    Folder elsewhere;
    state = fs::file_size(save_checkpoint(elsewhere.path(), tiny.content, {1}) / "state-0001-0.h5");
  }
  size_t page = 4096;
  put_text(disk / "filler", std::string(room - (state + page - 1) / page * page, 'x'));
  EXPECT_THROW(save_checkpoint(disk / "checkpoints", tiny.content, {1}), IoError);
  EXPECT_THAT(listing(disk / "checkpoints"), ElementsAre("step-0000000010"));
  // Room again: the next save works.
  fs::remove(disk / "filler");
  save_checkpoint(disk / "checkpoints", tiny.content, {1});
  EXPECT_THAT(listing(disk / "checkpoints"), ElementsAre("step-0000000030"));
}

TEST(Writer, NoPlaceToWrite) {
  Folder folder;
  put_text(folder.path() / "file", "not a folder");
  EXPECT_THROW(save_checkpoint(folder.path() / "file", Sample(1).content, {1}), IoError);
  EXPECT_EQ(test::text_of(folder.path() / "file"), "not a folder");
}

}  // namespace
}  // namespace trireme
