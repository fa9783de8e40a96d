// What a user sees who makes a mistake: one message, the right exit code, and nothing written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

namespace trireme {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct Outcome {
  int code = -1;
  std::string output;  // stdout and stderr
};

Outcome run(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return outcome;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.output.append(buffer, n);
  int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  return outcome;
}

std::string executable(const std::string& name) { return TRIREME_BINARY_DIR "/bin/trireme-" + name; }

int count(std::string_view text, std::string_view part) {
  int n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// A folder of its own for each test; commands run inside of it.
class BadCommands : public testing::Test {
 protected:
  BadCommands() {
    std::string pattern = testing::TempDir() + "/trireme_bad_XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~BadCommands() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  Outcome here(const std::string& command) { return run("cd '" + folder_.string() + "' && " + command); }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    return names;
  }

  fs::path folder_;
};

struct BadConfig {
  std::string name;
  std::string text;
  std::string arguments;
  std::string message;  // behind "trireme-train: error: "
};

class TrainRefuses : public BadCommands, public testing::WithParamInterface<BadConfig> {};

TEST_P(TrainRefuses, InOneLineAndWritesNothing) {
  write("net.toml", GetParam().text);
  Outcome outcome = here(executable("train") + " net.toml " + GetParam().arguments);
  EXPECT_EQ(outcome.code, 78) << outcome.output;
  EXPECT_THAT(outcome.output, testing::StartsWith("trireme-train: error: " + GetParam().message));
  EXPECT_EQ(count(outcome.output, "\n"), 1) << outcome.output;
  EXPECT_THAT(files(), testing::ElementsAre("net.toml"));
}

const std::vector<BadConfig> bad_configs{
    {"syntax", "[train]\nepochs = = 1\n", "", "net.toml:2:10: not valid TOML"},
    {"duplicate", "[train]\nepochs = 1\nepochs = 1\n", "", "net.toml:3:"},
    {"unknown_key", "[train]\nepoch = 1\n", "",
     "net.toml:2:1: unknown key train.epoch; did you mean train.epochs?"},
    {"unknown_table", "[trian]\nepochs = 1\n", "",
     "net.toml:1:2: unknown table [trian]; did you mean [train]?"},
    {"wrong_type", "[train]\nepochs = \"1\"\n", "", "net.toml:2:1: train.epochs: expected an integer"},
    {"out_of_range", "[data]\nbatch = -4\n", "", "net.toml:2:1: data.batch = -4 is out of range: at least 1"},
    {"unknown_choice", "[model]\nkind = \"transformer\"\n", "",
     "net.toml:2:1: model.kind = \"transformer\" is no choice here: mlp,"},
    {"no_power_of_two", "[parallel]\nvirtual_ranks = 7\n", "", "net.toml:2:1: parallel.virtual_ranks = 7"},
    {"no_training_data", "[run]\nseed = 2\n", "", "net.toml: the key data.train is missing"},
    {"missing_training_data", "[data]\ntrain = \"none.h5\"\n", "",
     "net.toml:2:1: data.train = \"none.h5\": there is no such file"},
    {"missing_validation_data", "[data]\ntrain = \"net.toml\"\nvalidation = \"none.h5\"\n", "",
     "net.toml:3:1: data.validation"},
    {"override", "[train]\nepochs = 1\n", "--set train.epochs=none",
     "--set train.epochs=none: train.epochs: expected an integer"},
    {"override_of_nothing", "", "--set train.epochz=1", "--set train.epochz=1: unknown key train.epochz"},
    {"planning", "[train]\nepochs = 0\n", "--plan", "net.toml:2:1: train.epochs = 0"},
};

INSTANTIATE_TEST_SUITE_P(All, TrainRefuses, testing::ValuesIn(bad_configs),
                         [](const auto& instance) { return instance.param.name; });

TEST_F(BadCommands, AMissingConfigIsNamed) {
  Outcome outcome = here(executable("train") + " none.toml");
  EXPECT_EQ(outcome.code, 78);
  EXPECT_THAT(outcome.output,
              testing::StartsWith("trireme-train: error: none.toml: the config file cannot be read"));
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(BadCommands, TwoRanksSayItOnce) {
  write("net.toml", "[train]\nepoch = 1\n");
  Outcome outcome = here("mpirun -n 2 " + executable("train") + " net.toml");
  EXPECT_EQ(outcome.code, 78) << outcome.output;
  EXPECT_EQ(count(outcome.output, "trireme-train: error: net.toml:2:1: unknown key train.epoch"), 1)
      << outcome.output;
  EXPECT_THAT(files(), testing::ElementsAre("net.toml"));
}

TEST_F(BadCommands, AWrongCommandLineIsAUsageError) {
  struct {
    std::string arguments;
    std::string part;
  } cases[] = {
      {"", "CONFIG.toml is missing"},
      {"net.toml --frseh", "did you mean --fresh?"},
      {"net.toml --run-dir", "--run-dir needs a value"},
      {"net.toml other.toml", "unexpected argument other.toml"},
      {"net.toml --plan=yes", "--plan takes no value"},
  };
  for (const auto& one : cases) {
    Outcome outcome = here(executable("train") + " " + one.arguments);
    EXPECT_EQ(outcome.code, 64) << one.arguments;
    EXPECT_THAT(outcome.output, HasSubstr("trireme-train: error: "));
    EXPECT_THAT(outcome.output, HasSubstr(one.part));
    EXPECT_THAT(outcome.output, HasSubstr("usage: trireme-train CONFIG.toml"));
  }
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(BadCommands, HelpAnswers) {
  Outcome help = here(executable("train") + " --help");
  EXPECT_EQ(help.code, 0);
  for (const char* part :
       {"usage:", "--run-dir DIR", "--fresh", "--plan", "--quiet", "--set KEY=VALUE", "--help-config",
        "summary.json", "metrics.jsonl", "checkpoints/", "Examples:", "78  bad config"}) {
    EXPECT_THAT(help.output, HasSubstr(part));
  }
  Outcome keys = here(executable("train") + " --help-config");
  EXPECT_EQ(keys.code, 0);
  EXPECT_THAT(keys.output, HasSubstr("[optimizer]"));
  Outcome version = here(executable("train") + " --version");
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.output, testing::StartsWith("trireme-train "));
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(BadCommands, PrepareRefusesTheSameWay) {
  write("p.toml", "[prepare]\nkind = \"idx\"\n");
  Outcome outcome = here(executable("prepare") + " p.toml");
  EXPECT_EQ(outcome.code, 78) << outcome.output;
  EXPECT_THAT(outcome.output, testing::StartsWith("trireme-prepare: error: p.toml"));
  write("p.toml", "[[prepare.dataset]]\nimages = \"i\"\nlabels = \"l\"\noutptu = \"o\"\n");
  outcome = here(executable("prepare") + " p.toml");
  EXPECT_EQ(outcome.code, 78) << outcome.output;
  EXPECT_THAT(outcome.output,
              HasSubstr("p.toml:4:1: unknown key `outptu` in prepare.dataset[0]; did you mean `output`?"));
  write("p.toml", "[[prepare.dataset]]\nimages = \"i\"\nlabels = \"l\"\noutput = \"o\"\n");
  outcome = here(executable("prepare") + " p.toml");
  EXPECT_EQ(outcome.code, 66) << outcome.output;
  EXPECT_THAT(files(), testing::ElementsAre("p.toml"));
}

}  // namespace
}  // namespace trireme
