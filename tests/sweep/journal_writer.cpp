// The one who writes a journal: who may, who is refused, full disks, kills at any moment.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "checkpoint/claim_fixture.h"
#include "support/temporary_folder.h"
#include "support/tiny_disk.h"
#include "sweep/journal.h"
#include "sweep/journal_story.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::append_story;
using test::other_than_story;
using test::text_of_file;
using testing::AllOf;
using testing::HasSubstr;

class Journal : public testing::Test {
 protected:
  // Nobody waits for a sign of life: whoever must, hangs.
  static JournalOptions patient() {
    JournalOptions options;
    options.heartbeat_seconds = 1e6;
    options.silence_seconds = 1e6;
    return options;
  }
  // Makes the newest writer of the journal one of another machine, and of this SLURM job.
  void move_to_another_node(const std::string& job) const {
    fs::path start;
    for (const auto& entry : fs::directory_iterator(folder_ / "0.claim"))
      start = std::max(start, entry.path());
    auto holder = read_holder(start);
    ASSERT_TRUE(holder);
    holder->host = "elsewhere";
    holder->boot_id = "another";
    holder->pid_namespace = "pid:[1]";
    holder->job_id = job;
    test::put_file(start / Holder::living_name, holder_json(*holder));
  }
  void write_story(int64_t records) const {
    JournalWriter writer(path_);
    append_story(writer, 0, records);
  }
  std::string refusal(const JournalOptions& options) const {
    return test::message_of<ClaimError>([&] { JournalWriter(path_, options); });
  }

  test::TemporaryFolder folder_;
  fs::path path_ = folder_ / "0.trj";

 private:
  test::Variable no_job_{"SLURM_JOB_ID", nullptr};
  test::Variable no_cluster_{"SLURM_CLUSTER_NAME", nullptr};
};

TEST_F(Journal, NumbersAndDatesItsRecords) {
  JournalWriter writer(path_);
  double before = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (int64_t number = 0; number < 3; ++number) {
    Record record = writer.append(test::story_record(number));
    EXPECT_EQ(record.number, number);
    EXPECT_NEAR(record.time, before, 60);
    EXPECT_EQ(to_json(record), to_json(read_journal(path_).records.back())) << "it is there at once";
  }
  writer.sync();
  writer.sync();
}

TEST_F(Journal, ALiveWriterIsNotTakenOver) {
  JournalWriter writer(path_, patient());
  append_story(writer, 0, 3);
  EXPECT_THAT(refusal(patient()), AllOf(HasSubstr(path_.string()), HasSubstr(std::to_string(::getpid()))));
  test::Child child([this] {
    try {
      JournalWriter(path_, patient());
    } catch (const ClaimError&) {
      return;
    }
    throw std::runtime_error("not refused");
  });
  EXPECT_TRUE(child.ready()) << "another process is refused";
  append_story(writer, 3, 6);
  EXPECT_EQ(read_journal(path_).records.size(), 6u);
}

TEST_F(Journal, AKilledWritersJournalIsTakenOverAtOnce) {
  for (int64_t round = 0; round < 3; ++round) {
    test::Child child([this, round] {
      auto* writer = new JournalWriter(path_, patient());  // never closed
      append_story(*writer, round * 5, round * 5 + 5);
    });
    ASSERT_TRUE(child.ready());
    EXPECT_NE(refusal(patient()), "");
    child.kill();
  }
  JournalWriter writer(path_, patient());
  EXPECT_EQ(writer.content().records.size(), 15u);
  EXPECT_EQ(other_than_story(writer.content()), "");
}

// Requeued on another node: at once, whatever becomes of the former one, which cannot harm it.
TEST_F(Journal, ARequeuedJobTakesOverAndTheFormerOneFindsOut) {
  test::Variable job("SLURM_JOB_ID", "17");
  JournalWriter former(path_, patient());
  append_story(former, 0, 5);
  move_to_another_node("17");
  JournalWriter writer(path_, patient());
  append_story(writer, 5, 8);
  try {
    append_story(former, 5, 6);
    ADD_FAILURE() << "a writer that was taken over has written";
  } catch (const ClaimError& error) {
    EXPECT_THAT(error.what(), HasSubstr("taken over"));
  }
  append_story(writer, 8, 10);
  JournalContent content = read_journal(path_);
  EXPECT_EQ(content.records.size(), 10u);
  EXPECT_EQ(other_than_story(content), "");
}

// Who is cut off in the middle of a write has another file in hand.
TEST_F(Journal, WhatAFormerWriterStillWritesIsNotInTheJournal) {
  test::Variable job("SLURM_JOB_ID", "17");
  JournalWriter former(path_, patient());
  append_story(former, 0, 5);
  int file = ::open(path_.c_str(), O_WRONLY);  // as it has it
  move_to_another_node("17");
  JournalWriter writer(path_, patient());
  std::string late = "TRJ1 0123456789abcdef {}\n";
  EXPECT_EQ(::pwrite(file, late.data(), late.size(), static_cast<off_t>(writer.content().bytes)),
            static_cast<ssize_t>(late.size()));
  ::close(file);
  EXPECT_EQ(read_journal(path_).records.size(), 5u);
  EXPECT_EQ(read_journal(path_).torn, "");
}

TEST_F(Journal, ANewSweepIsBegunOnceAJob) {
  write_story(5);
  test::Variable job("SLURM_JOB_ID", "17");
  int cleared = 0;
  std::vector<std::string> told;
  JournalOptions options = patient();
  options.start_over = [&cleared] { ++cleared; };
  options.tell = [&told](const std::string& text) { told.push_back(text); };
  {
    JournalWriter writer(path_, options);
    EXPECT_TRUE(writer.content().records.empty());
    EXPECT_EQ(cleared, 1);
    append_story(writer, 0, 3);
  }
  {
    JournalWriter writer(path_, options);
    EXPECT_EQ(writer.content().records.size(), 3u);
    EXPECT_EQ(cleared, 1);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_THAT(told[0], HasSubstr("earlier start"));
  }
  test::Variable another("SLURM_JOB_ID", "18");
  JournalWriter writer(path_, options);
  EXPECT_TRUE(writer.content().records.empty());
  EXPECT_EQ(cleared, 2);
}

TEST_F(Journal, AJobThatIsStartedInVainTooOftenIsRefused) {
  test::Variable job("SLURM_JOB_ID", "17");
  JournalOptions options = patient();
  options.restarts = 2;
  options.progress = [](const std::vector<Record>& records) { return static_cast<int64_t>(records.size()); };
  auto start = [&](int64_t first, int64_t end) {
    JournalWriter writer(path_, options);
    append_story(writer, first, end);
  };
  start(0, 5);
  for (int restart = 0; restart < 3; ++restart)
    start(5, 5);  // the first finds more than was there at the start
  EXPECT_THAT(test::message_of<NoProgressError>([&] { start(5, 5); }),
              AllOf(HasSubstr("0.trj"), HasSubstr("more than 2 times"), HasSubstr("checkpoint.restarts")));
  // A job of another number, as submitted anew, is let in; and so is one that has come to its end.
  test::Variable another("SLURM_JOB_ID", "18");
  for (int restart = 0; restart < 4; ++restart) {
    JournalWriter writer(path_, options);
    writer.mark_done();
  }
  start(5, 6);
  EXPECT_EQ(read_journal(path_).records.size(), 6u);
}

TEST_F(Journal, WhatCannotBeRemovedLeavesTheOldOne) {
  write_story(5);
  JournalOptions options;
  options.start_over = [] { throw IoError("cannot"); };
  EXPECT_THROW(JournalWriter(path_, options), IoError);
  EXPECT_EQ(read_journal(path_).records.size(), 5u);
  JournalWriter again(path_);
}

TEST_F(Journal, ADamagedOneIsRefusedAndLeftAsItIs) {
  write_story(5);
  std::string text = text_of_file(path_);
  text[text.size() / 2] ^= 1;
  test::put_file(path_, text);
  EXPECT_THROW(JournalWriter(path_, patient()), DataError);
  EXPECT_EQ(text_of_file(path_), text);
}

// Once there is room again, the same writer goes on.
TEST_F(Journal, AFullDisk) {
  test::TinyDisk disk(folder_ / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  fs::path path = folder_ / "disk" / "0.trj";
  fs::path filler = folder_ / "disk" / "filler";
  JournalWriter writer(path);
  append_story(writer, 0, 10);
  for (std::string text; text.size() < size_t{2} << 20;) {
    text.append(4096, 'x');
    std::ofstream file(filler);
    if (!(file << text).flush()) break;
  }
  int64_t appended = 10;
  std::string said = test::message_of<IoError>([&] {
    for (; appended < 1000; ++appended) writer.append(test::story_record(appended));
  });
  EXPECT_THAT(said, AllOf(HasSubstr(path.string()), HasSubstr("No space left"), HasSubstr("make room")));
  EXPECT_THROW(append_story(writer, appended, appended + 1), IoError);
  JournalContent content = read_journal(path);
  EXPECT_EQ(content.records.size(), static_cast<size_t>(appended));
  EXPECT_EQ(content.torn, "") << "nothing half written is left";
  fs::remove(filler);
  append_story(writer, appended, appended + 20);
  content = read_journal(path);
  EXPECT_EQ(content.records.size(), static_cast<size_t>(appended + 20));
  EXPECT_EQ(other_than_story(content), "");
}

// A writer appends as fast as it can and says what has been acknowledged; it is killed, and another goes on.
TEST_F(Journal, NothingAcknowledgedIsLostByKills) {
  auto* acknowledged = static_cast<std::atomic<int64_t>*>(::mmap(
      nullptr, sizeof(std::atomic<int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(acknowledged, MAP_FAILED);
  std::mt19937 random(7);
  int64_t lines = 0;
  int64_t most = 0;
  for (int round = 0; round < 100; ++round) {
    if (round % 10 == 0) {  // short journals, which are taken over in no time
      fs::remove(path_);
      lines = 0;
    }
    acknowledged->store(lines);
    pid_t child = ::fork();
    if (child == 0) {
      try {
        JournalWriter writer(path_, patient());
        for (int64_t number = static_cast<int64_t>(writer.content().records.size());; ++number) {
          writer.append(test::story_record(number));
          acknowledged->store(number + 1);
          if (number % 37 == 0) writer.sync();
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    // Half of them in the middle of their work, half anywhere, the takeover too.
    while (round % 2 == 0 && acknowledged->load() == lines && ::waitpid(child, nullptr, WNOHANG) == 0)
      ::usleep(50);
    ::usleep(static_cast<useconds_t>(random() % 1500));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    int64_t told = acknowledged->load();
    JournalContent content = read_journal(path_);
    auto found = static_cast<int64_t>(content.records.size());
    ASSERT_GE(found, told);
    ASSERT_LE(found, told + 1) << "one may have been written and not acknowledged";
    ASSERT_EQ(other_than_story(content), "");
    lines = found;
    most = std::max(most, lines);
  }
  ::munmap(acknowledged, sizeof *acknowledged);
  EXPECT_GT(most, 20);
}

// Beside a writer that goes on: always a beginning of what is written, and all of it in the end.
TEST_F(Journal, AReaderBesideIt) {
  JournalWriter writer(path_);
  std::atomic<bool> done{false};
  std::thread writing([&] {
    append_story(writer, 0, 3000);
    done = true;
  });
  JournalContent content;
  int reads = 0;
  for (bool last = false; !last; ++reads) {
    last = done;
    size_t before = content.records.size();
    size_t more = read_more(path_, content).size();
    EXPECT_EQ(content.records.size(), before + more);
  }
  writing.join();
  EXPECT_GT(reads, 1);
  EXPECT_EQ(content.records.size(), 3000u);
  EXPECT_EQ(other_than_story(content), "");
}

}  // namespace
}  // namespace trireme
