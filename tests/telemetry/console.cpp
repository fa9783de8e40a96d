// What a run says to a pipe, to a terminal (a pseudo terminal) and into log.txt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <regex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "telemetry/log.h"
#include "telemetry/progress.h"
#include "telemetry/temporary_folder.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using testing::Not;

// A pipe-like console: a plain file.
class Console : public testing::Test {
 protected:
  void SetUp() override { console_ = std::fopen((folder_.path() / "console").c_str(), "w"); }
  void TearDown() override { std::fclose(console_); }
  std::string said() { return test::text_of(folder_.path() / "console"); }
  std::string logged() { return test::text_of(folder_.path() / "log.txt"); }
  LogOptions options() {
    LogOptions wanted;
    wanted.file = folder_.path() / "log.txt";
    wanted.console = console_;
    return wanted;
  }
  test::TemporaryFolder folder_;
  std::FILE* console_ = nullptr;
};

// A real terminal of 24 lines and the given columns.
class Terminal {
 public:
  explicit Terminal(int columns) {
    winsize size{24, static_cast<unsigned short>(columns), 0, 0};
    if (::openpty(&master_, &slave_, nullptr, nullptr, &size) != 0) throw IoError("no pseudo terminal");
    stream_ = ::fdopen(slave_, "w");
  }
  ~Terminal() {
    std::fclose(stream_);
    ::close(master_);
  }
  std::FILE* stream() { return stream_; }
  std::string read() {
    std::string text;
    char buffer[4096];
    fd_set set;
    for (;;) {
      FD_ZERO(&set);
      FD_SET(master_, &set);
      timeval wait{0, 20000};
      if (::select(master_ + 1, &set, nullptr, nullptr, &wait) <= 0) return text;
      ssize_t bytes = ::read(master_, buffer, sizeof buffer);
      if (bytes <= 0) return text;
      text.append(buffer, static_cast<size_t>(bytes));
    }
  }

 private:
  int master_ = -1;
  int slave_ = -1;
  std::FILE* stream_ = nullptr;
};

TEST_F(Console, RankZeroWritesBoth) {
  Logger log(options());
  log.info("epoch {} of {}", 1, 5);
  log.warning("slow disk");
  log.error("bad {}", "thing");
  EXPECT_EQ(said(), "epoch 1 of 5\nwarning: slow disk\nerror: bad thing\n");
  std::regex line(
      R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (info epoch 1 of 5|warning slow disk|error bad thing))");
  std::istringstream stream(logged());
  int lines = 0;
  for (std::string one; std::getline(stream, one); ++lines) EXPECT_TRUE(std::regex_match(one, line)) << one;
  EXPECT_EQ(lines, 3);
}

TEST_F(Console, OtherRanksOnlyWarn) {
  LogOptions other = options();
  other.rank = 3;
  other.host = "n2";
  Logger log(other);
  log.info("hello");
  log.warning("slow disk");
  EXPECT_EQ(said(), "warning: rank 3 on n2: slow disk\n");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "log.txt"));
}

TEST_F(Console, QuietStillWarnsAndLogs) {
  LogOptions quiet = options();
  quiet.quiet = true;
  Logger log(quiet);
  log.info("hello");
  log.warning("slow disk");
  EXPECT_EQ(said(), "warning: slow disk\n");
  EXPECT_THAT(logged(), HasSubstr("info hello"));
}

TEST_F(Console, LogIsAppendedTo) {
  { Logger(options()).info("first run"); }
  { Logger(options()).info("second run"); }
  EXPECT_THAT(logged(), HasSubstr("first run\n"));
  EXPECT_THAT(logged(), HasSubstr("second run\n"));
}

TEST_F(Console, NoFolderForTheLog) {
  LogOptions wrong = options();
  wrong.file = folder_.path() / "none" / "log.txt";
  EXPECT_THROW(Logger{wrong}, IoError);
}

TEST_F(Console, ThreadsDoNotMixLines) {
  Logger log(options());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) log.info("{}", std::string(40, static_cast<char>('a' + t)));
    });
  }
  for (auto& thread : threads) thread.join();
  std::istringstream stream(said());
  int lines = 0;
  for (std::string one; std::getline(stream, one); ++lines) EXPECT_EQ(one, std::string(40, one[0]));
  EXPECT_EQ(lines, 800);
}

TEST_F(Console, ABatchLogGetsALineNowAndThen) {
  Logger log(options());
  Progress::Options wanted;
  wanted.total_steps = 1000;
  wanted.total_epochs = 2;
  wanted.line_seconds = 0.05;
  Progress progress(log, wanted);
  auto start = std::chrono::steady_clock::now();
  int64_t step = 0;
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(220)) {
    ++step;
    progress.update({std::min<int64_t>(step, 999), 1, step * 64, 0.5});
  }
  progress.epoch_end({500, 1, 500 * 64, 0.25});
  std::string text = said();
  auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_GE(lines, 3);
  EXPECT_LE(lines, 6);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_THAT(text, HasSubstr("step 500/1000  epoch 1/2  loss 0.2500  "));
  EXPECT_THAT(logged(), HasSubstr("info step 500/1000"));
}

TEST_F(Console, ProgressIsNearlyFree) {
  Logger log(options());
  Progress progress(log, {});
  auto start = std::chrono::steady_clock::now();
  constexpr int updates = 100000;
  for (int step = 1; step <= updates; ++step) progress.update({step, 1, step, 0.5});
  double each = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / updates;
  EXPECT_LT(each, 5e-6);  // about 30 ns; a busy machine is allowed for
}

TEST_F(Console, UnknownsAreLeftOut) {
  Logger log(options());
  Progress progress(log, {});
  EXPECT_EQ(progress.line({7, 2, 0}), "step 7  epoch 2  0 samples/s");
  EXPECT_THAT(progress.bar({7, 2, 0}, 60), Not(HasSubstr("[")));
}

TEST_F(Console, RateAndTimeLeft) {
  Logger log(options());
  Progress::Options wanted;
  wanted.total_steps = 200;
  wanted.first_step = 100;
  wanted.first_samples = 6400;
  Progress progress(log, wanted);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  // 50 steps of 64 samples in about 0.2 s since the resume: about 16000/s, and 0.2 s left.
  std::string line = progress.line({150, 1, 150 * 64, 0.5});
  std::smatch match;
  ASSERT_TRUE(std::regex_search(line, match, std::regex(R"((\d+) samples/s  00:0\d left)"))) << line;
  double rate = std::stod(match[1]);
  EXPECT_GT(rate, 2000);
  EXPECT_LT(rate, 16500);
}

TEST(TerminalBar, IsOneLineThatFitsAndMakesRoom) {
  for (int columns : {20, 60, 80, 200}) {
    Terminal terminal(columns);
    test::TemporaryFolder folder;
    LogOptions wanted;
    wanted.console = terminal.stream();
    wanted.file = folder.path() / "log.txt";
    {
      Logger log(wanted);
      ASSERT_TRUE(log.has_terminal());
      EXPECT_EQ(log.terminal_columns(), columns);
      Progress::Options options;
      options.total_steps = 4690;
      options.total_epochs = 5;
      options.draw_seconds = 0.01;
      Progress progress(log, options);
      std::this_thread::sleep_for(std::chrono::milliseconds(15));
      progress.update({938, 2, 60000, 0.4312});
      std::string drawn = terminal.read();
      ASSERT_TRUE(drawn.starts_with("\r\x1b[K")) << drawn;
      EXPECT_LT(drawn.size() - 4, static_cast<size_t>(columns)) << drawn;
      EXPECT_THAT(drawn, Not(HasSubstr("\n")));
      if (columns >= 80) {
        EXPECT_THAT(drawn, HasSubstr("step 938/4690  epoch 2/5"));
        EXPECT_THAT(drawn, HasSubstr("[="));
      }

      log.info("validation accuracy 0.9");
      std::string mixed = terminal.read();
      EXPECT_TRUE(mixed.starts_with("\r\x1b[Kvalidation accuracy 0.9\r\n")) << mixed;
      EXPECT_TRUE(mixed.ends_with(drawn.substr(4))) << "the bar comes back below";
    }
    EXPECT_TRUE(terminal.read().ends_with("\r\x1b[K")) << "the bar goes in the end";
    EXPECT_THAT(test::text_of(wanted.file), Not(HasSubstr("\x1b")));
  }
}

TEST(TerminalBar, MayHaveSeveralLines) {
  Terminal terminal(80);
  LogOptions wanted;
  wanted.console = terminal.stream();
  Logger log(wanted);
  EXPECT_EQ(log.terminal_rows(), 24);
  log.set_status("one\ntwo\nthree");
  terminal.read();
  // Two lines up, all below erased, the line, and the status again.
  log.info("hello");
  EXPECT_EQ(terminal.read(), "\r\x1b[2A\x1b[Jhello\r\none\r\ntwo\r\nthree");
  log.set_status("four\nfive");
  EXPECT_EQ(terminal.read(), "\r\x1b[2A\x1b[Jfour\r\nfive");
  log.set_status("");
  EXPECT_EQ(terminal.read(), "\r\x1b[1A\x1b[J");
}

TEST(TerminalBar, IsDrawnAtMostSoOften) {
  Terminal terminal(80);
  LogOptions wanted;
  wanted.console = terminal.stream();
  Logger log(wanted);
  Progress::Options options;
  options.total_steps = 100;
  Progress progress(log, options);
  auto start = std::chrono::steady_clock::now();
  int64_t step = 0;
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(350))
    progress.update({++step % 100, 1, step});
  std::string text = terminal.read();
  int drawings = 0;
  for (size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1)) ++drawings;
  EXPECT_GE(drawings, 1);
  EXPECT_LE(drawings, 4);
}

TEST(TerminalBar, NotForOtherRanksAndNotWhenQuiet) {
  Terminal terminal(80);
  LogOptions other;
  other.console = terminal.stream();
  other.rank = 1;
  EXPECT_FALSE(Logger(other).has_terminal());
  LogOptions quiet;
  quiet.console = terminal.stream();
  quiet.quiet = true;
  EXPECT_FALSE(Logger(quiet).has_terminal());
  EXPECT_EQ(terminal.read(), "");
}

}  // namespace
}  // namespace trireme
