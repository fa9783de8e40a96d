// What a user may name.
#include "inspect/where.h"

#include "checkpoint/manifest.h"
#include "inspect/run_fixture.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

class WhereTest : public RunTest {
 protected:
  WhereTest() {
    first_ = save("run", 10);
    second_ = save("run", 20);
  }
  fs::path first_, second_;
};

TEST_F(WhereTest, ARunInAllItsNames) {
  fs::path checkpoints = folder_ / "run/checkpoints";
  put_bytes(folder_ / "net.toml", "[run]\nname = \"other\"\n");
  for (const Where& where :
       {find_where(path("run")), find_where(path("run") + "/"), find_where(checkpoints.string()),
        find_where(path("net.toml"), {.run_directory = path("run")})}) {
    EXPECT_EQ(where.checkpoints, checkpoints);
    EXPECT_FALSE(where.checkpoint);
    EXPECT_EQ(open_where(where, nobody()).run().step, 20);
  }
  for (const Where& where :
       {find_where(first_.string()), find_where(first_.string() + "/"), find_where(path("run:10")),
        find_where(checkpoints.string() + ":10"), find_where(path("run"), {.step = 10}),
        find_where(path("net.toml") + ":10", {.run_directory = path("run")})}) {
    ASSERT_TRUE(where.checkpoint);
    EXPECT_EQ(*where.checkpoint, first_);
    EXPECT_EQ(open_where(where, nobody()).run().step, 10);
  }
  fs::create_directories(folder_ / "odd:10");
  fs::rename(folder_ / "run", folder_ / "odd:10/run");
  EXPECT_FALSE(find_where(path("odd:10/run")).checkpoint);
}

TEST_F(WhereTest, ANamedConfigLeadsToRuns) {
  put_bytes(folder_ / "net.toml", "[run]\nname = \"toy\"\n");
  fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  fs::create_directories("runs");
  fs::rename("run", "runs/toy");
  EXPECT_EQ(find_where("net.toml").checkpoints, "runs/toy/checkpoints");
  expect_error(ExitCode::no_input, {"runs/none", "--run-dir"},
               [] { find_where("net.toml", {.overrides = {"run.name=none"}}); });
  fs::current_path(before);
}

TEST_F(WhereTest, WhatIsNotThereIsNamed) {
  auto refused = [&](ExitCode code, const std::string& text, std::initializer_list<std::string> parts,
                     const WhereOptions& options = {}) {
    SCOPED_TRACE(text);
    expect_error(code, parts, [&] { find_where(text, options); });
  };
  refused(ExitCode::no_input, path("none"), {"none"});
  refused(ExitCode::no_input, path("none.toml"), {"none.toml"});
  refused(ExitCode::no_input, path("run:15"), {"step 15", "20, 10"});
  refused(ExitCode::usage, path("run:10"), {"--step"}, {.step = 20});
  refused(ExitCode::usage, first_.string() + ":20", {"one checkpoint"});
  refused(ExitCode::usage, path("run"), {"--run-dir"}, {.run_directory = "x"});
  refused(ExitCode::usage, path("run"), {"--set"}, {.overrides = {"run.name=x"}});
  fs::create_directories(folder_ / "empty");
  refused(ExitCode::no_input, path("empty"), {"checkpoints"});
  put_bytes(folder_ / "file", "");
  refused(ExitCode::usage, path("file"), {"neither"});
  put_bytes(folder_ / "bad.toml", "[run");
  refused(ExitCode::bad_config, path("bad.toml"), {"bad.toml:1"});
}

TEST_F(WhereTest, TheNewestGoodOneIsMeant) {
  flip_a_bit(state_file(second_));
  std::vector<std::string> told;
  Checkpoint checkpoint =
      open_where(where("run"), [&](const std::string& message) { told.push_back(message); });
  EXPECT_EQ(checkpoint.run().step, 10);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0], HasSubstr("step 20"));
  expect_error(ExitCode::bad_data, {state_file(second_).string()},
               [&] { open_where(where("run:20"), nobody()); });
  fs::remove_all(first_);
  fs::remove_all(second_);
  expect_error(ExitCode::no_input, {"holds no checkpoint"}, [&] { open_where(where("run"), nobody()); });
}

}  // namespace
}  // namespace trireme::test
