// trireme-predict as users run it: exit codes, what it prints, what it leaves, alone and under mpirun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

struct Outcome {
  int code;
  std::string output;  // both streams
};

class PredictJobs : public testing::Test {
 protected:
  PredictJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 64});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    std::ofstream(folder_ / "net.toml") << R"(
[run]
name = "toy"
[data]
train = "train.h5"
validation = "validation.h5"
batch = 16
validation_batch = 8
[model]
kind = "mlp"
hidden = [8]
[train]
epochs = 2
threads = 1
)";
  }
  Outcome shell(const std::string& command) const {
    std::string whole = "cd " + folder_.path().string() + " && " + command + " 2>&1";
    std::FILE* pipe = ::popen(whole.c_str(), "r");
    if (pipe == nullptr) return {-1, "popen failed"};
    Outcome outcome{0, ""};
    char block[4096];
    while (size_t count = std::fread(block, 1, sizeof block, pipe)) outcome.output.append(block, count);
    int status = ::pclose(pipe);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    return outcome;
  }
  static std::string program(const std::string& name) {
    return std::string(TRIREME_BINARY_DIR) + "/bin/trireme-" + name;
  }
  Outcome predict(const std::string& options = "", int ranks = 1) const {
    std::string start = ranks > 1 ? "mpirun -n " + std::to_string(ranks) + " --bind-to none " : "";
    return shell(start + program("predict") + " net.toml " + options);
  }
  std::string bytes(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  TemporaryFolder folder_;
};

TEST_F(PredictJobs, PredictsAfterTrainingAloneAndOnTwoRanks) {
  Outcome early = predict();
  EXPECT_EQ(early.code, 66) << early.output;
  EXPECT_THAT(early.output, testing::AllOf(HasSubstr("runs/toy"), HasSubstr("train")));
  Outcome trained = shell(program("train") + " net.toml");
  ASSERT_EQ(trained.code, 0) << trained.output;
  Outcome one = predict("--output one.h5");
  EXPECT_EQ(one.code, 0) << one.output;
  EXPECT_THAT(one.output,
              testing::AllOf(HasSubstr("accuracy 0."), HasSubstr("37 samples"), HasSubstr("one.h5")));
  Outcome two = predict("--output two.h5", 2);
  EXPECT_EQ(two.code, 0) << two.output;
  EXPECT_FALSE(bytes("one.h5").empty());
  EXPECT_EQ(bytes("one.h5"), bytes("two.h5"));
  EXPECT_TRUE(predict("--quiet").output.empty());
  EXPECT_FALSE(bytes("runs/toy/predictions.h5").empty());
  // The run's own validation data may be gone.
  std::filesystem::rename(folder_ / "validation.h5", folder_ / "new.h5");
  EXPECT_EQ(predict().code, 78);
  EXPECT_EQ(predict("--data new.h5").code, 0);
  EXPECT_EQ(predict("--data none.h5").code, 66);
  Outcome other = predict("--data new.h5 --set model.hidden=[9]");
  EXPECT_EQ(other.code, 65) << other.output;
}

TEST_F(PredictJobs, OptionsThatDoNotFitAreRefused) {
  for (const char* options :
       {"--tokens 5", "--temperature 1", "--top-k 3", "--seed 4", "--sheet x.png", "--samples 4",
        "--prompt x --data y", "--prompt x --samples 3", "--prompt x --tokens 0", "--prompt x --tokens many",
        "--prompt x --temperature -1", "--prompt x --temperature nan", "--set model.kind=gan --prompt x",
        "--set model.kind=gan", "--set model.kind=gan --samples 0", "--set model.kind=gan --samples 20000",
        "--propmt x"}) {
    std::string hidden =
        std::string(options).find("gan") == std::string::npos ? "" : " --set data.validation=";
    Outcome outcome = predict(options + hidden);
    EXPECT_EQ(outcome.code, 64) << options << "\n" << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr("--")) << options;
  }
  EXPECT_EQ(predict("--prompt x").code, 64) << "images are no text";
  EXPECT_EQ(shell(program("predict")).code, 64);
  Outcome help = shell(program("predict") + " --help");
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.output,
              testing::AllOf(HasSubstr("--prompt"), HasSubstr("--sheet"), HasSubstr("--run-dir")));
}

}  // namespace
}  // namespace trireme::test
