// trireme-checkpoint as users run it: exit codes, words, JSON, and what the other executables make of its
// work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "support/run_command.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class CheckpointJobs : public testing::Test {
 protected:
  CheckpointJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 64});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    std::ofstream(folder_ / "net.toml") << R"(
[run]
name = "toy"
[data]
train = "train.h5"
validation = "validation.h5"
batch = 16
[model]
kind = "mlp"
hidden = [8]
[train]
epochs = 3
threads = 1
[optimizer]
ema_decay = 0.5
)";
  }
  CommandResult shell(const std::string& command) const {
    return run_command("sh -c 'cd " + folder_.path().string() + " && " + command + "'", 120);
  }
  static std::string program(const std::string& name) {
    return std::string(TRIREME_BINARY_DIR) + "/bin/trireme-" + name;
  }
  CommandResult tool(const std::string& arguments) const {
    return shell(program("checkpoint") + " " + arguments);
  }
  void train() const {
    CommandResult trained = shell(program("train") + " net.toml --quiet");
    ASSERT_EQ(trained.code, 0) << trained.output;
  }
  // What a command prints with --json, which must be one object and nothing else.
  json report(const std::string& arguments, int code = 0) const {
    CommandResult result = shell(program("checkpoint") + " " + arguments + " --json 2>/dev/null");
    EXPECT_EQ(result.code, code) << result.output;
    json object = json::parse(result.output, nullptr, false);
    EXPECT_TRUE(object.is_object()) << arguments << "\n" << result.output;
    return object;
  }
  void damage(const std::string& checkpoint) const {
    for (const auto& entry : fs::directory_iterator(folder_ / checkpoint)) {
      if (entry.path().extension() != ".h5") continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(fs::file_size(entry.path()) / 2));
      file.write("damage", 6);
    }
  }
  TemporaryFolder folder_;
};

TEST_F(CheckpointJobs, LooksAtARun) {
  train();
  EXPECT_EQ(tool("net.toml").output, tool("ls net.toml").output);
  CommandResult listed = tool("ls runs/toy");
  EXPECT_EQ(listed.code, 0) << listed.output;
  EXPECT_THAT(listed.output, testing::AllOf(HasSubstr("accuracy 0."), HasSubstr("good")));
  json rows = report("ls net.toml")["checkpoints"];
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["step"], 12);
  EXPECT_EQ(rows[0]["state"], "good");
  EXPECT_EQ(rows[0]["ranks"], 1);

  json shown = report("show net.toml:8");
  EXPECT_EQ(shown["step"], 8);
  EXPECT_EQ(shown["tensors"][0]["non_finite"], 0);
  EXPECT_THAT(tool("show runs/toy").output, testing::AllOf(HasSubstr("hidden = [8]"), HasSubstr("[64, 8]")));
  EXPECT_EQ(report("verify runs/toy")["good"], true);
  EXPECT_EQ(report("diff runs/toy:8 runs/toy:12")["equal"], false);
  EXPECT_EQ(report("diff runs/toy:12 runs/toy")["equal"], true);

  damage("runs/toy/checkpoints/step-0000000012");
  EXPECT_EQ(report("ls runs/toy")["checkpoints"][0]["state"], "damaged");
  EXPECT_EQ(report("verify runs/toy", 65)["good"], false);
  EXPECT_EQ(report("verify runs/toy --step 8")["good"], true);
  EXPECT_EQ(report("show runs/toy")["step"], 8) << "the newest good one is meant";
  CommandResult passed_over = tool("show runs/toy");
  EXPECT_THAT(passed_over.output, HasSubstr("warning: skipping the checkpoint of step 12"));
  EXPECT_EQ(tool("show runs/toy:12").code, 65);
  // A closed pipe or a full disk is no success.
  EXPECT_EQ(tool("show runs/toy > /dev/full").code, 74);
}

TEST_F(CheckpointJobs, MakesRunsThatOthersUse) {
  train();
  EXPECT_EQ(report("average runs/toy:4 runs/toy:8 runs/toy:12 --weights 1,1,2 --output runs/soup")["step"],
            4);
  CommandResult predicted = shell(program("predict") + " runs/soup/config.toml --run-dir runs/soup");
  EXPECT_EQ(predicted.code, 0) << predicted.output;
  EXPECT_THAT(predicted.output, HasSubstr("after step 4"));
  EXPECT_EQ(tool("average runs/toy:4 runs/toy:8 --output runs/soup").code, 64) << "it is there already";

  EXPECT_EQ(report("export runs/toy x.safetensors")["averaged"], 0);
  EXPECT_EQ(report("export net.toml x.npz --average --optimizer --step 8")["step"], 8);
  EXPECT_EQ(report("import x.safetensors net.toml --run-dir runs/back")["step"], 0);
  EXPECT_EQ(report("diff runs/toy runs/back")["config"].size(), 0u);
  CommandResult goes_on = shell(program("train") + " net.toml --run-dir runs/back");
  EXPECT_EQ(goes_on.code, 0) << goes_on.output;
  EXPECT_EQ(report("ls runs/back")["checkpoints"][0]["step"], 12);
  EXPECT_EQ(tool("import x.npz net.toml").code, 64) << "runs/toy has checkpoints";
  CommandResult other = tool("import x.npz net.toml --run-dir runs/other --set model.hidden=[9]");
  EXPECT_EQ(other.code, 65) << other.output;
  EXPECT_THAT(other.output, HasSubstr("[64, 9]"));
  EXPECT_FALSE(fs::exists(folder_ / "runs/other"));

  EXPECT_EQ(report("prune runs/toy --keep 1 --dry-run")["deleted"], json({8, 4}));
  EXPECT_EQ(report("ls runs/toy")["checkpoints"].size(), 3u);
  EXPECT_EQ(report("prune net.toml --keep 1 --keep-every 4 --set train.epochs=9")["deleted"].size(), 0u);
  EXPECT_EQ(report("prune runs/toy --keep 1")["deleted"], json({8, 4}));
  EXPECT_EQ(report("ls runs/toy")["checkpoints"].size(), 1u);
}

TEST_F(CheckpointJobs, TellsWhatIsWrong) {
  auto refused = [&](int code, const std::string& arguments, const std::string& part) {
    CommandResult result = tool(arguments);
    EXPECT_EQ(result.code, code) << arguments << "\n" << result.output;
    EXPECT_THAT(result.output, HasSubstr(part)) << arguments;
  };
  refused(64, "", "COMMAND is missing");
  refused(64, "lst", "did you mean ls?");
  refused(64, "ls", "WHERE is missing");
  refused(64, "diff runs/toy", "OTHER is missing");
  refused(64, "ls runs/toy --jsno", "--json");
  refused(66, "ls runs/toy", "runs/toy");
  refused(66, "ls net.toml", "runs/toy");
  refused(66, "verify none.toml", "none.toml");
  refused(64, "average a b", "--output");
  refused(64, "average a b --output c --weights 1", "1 number for 2 checkpoints");
  refused(64, "average a b --output c --weights 1,x", "--weights x");
  refused(64, "show runs/toy --step -1", "--step -1");
  refused(64, "prune runs/toy --metric best", "--metric best");
  refused(66, "import none.npz net.toml", "none.npz");
  refused(78, "import none.npz net.toml --set data.train=none.h5", "none.h5");
  std::ofstream(folder_ / "bad.npz") << "no zip";
  refused(65, "import bad.npz net.toml", "bad.npz");
  EXPECT_FALSE(fs::exists(folder_ / "runs"));

  CommandResult help = tool("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* part : {"trireme-checkpoint ls WHERE", "show WHERE", "verify WHERE", "diff WHERE OTHER",
                           "average WHERE OTHER...", "export WHERE FILE", "import FILE CONFIG.toml",
                           "prune WHERE", "--keep-every N", "--json", "65  bad data"}) {
    EXPECT_THAT(help.output, HasSubstr(part));
  }
  EXPECT_THAT(tool("--version").output, HasSubstr("trireme-checkpoint "));
  EXPECT_THAT(tool("export --help").output, HasSubstr("--average"));
}

}  // namespace
}  // namespace trireme::test
