// trireme-prepare as users run it: exit codes, messages, and what lies there afterwards.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>

#include "data/image_file.h"
#include "data/samples.h"
#include "support/tiny_disk.h"

namespace trireme {
namespace {

using namespace test;
using testing::HasSubstr;
using Names = std::vector<std::string>;

struct Outcome {
  int code;
  std::string output;  // both streams
};

Outcome run(const std::string& arguments) {
  std::string command = std::string(TRIREME_BINARY_DIR) + "/bin/trireme-prepare " + arguments + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  Outcome outcome{0, ""};
  char block[4096];
  while (size_t count = std::fread(block, 1, sizeof block, pipe)) outcome.output.append(block, count);
  int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return outcome;
}

class PrepareJob : public testing::Test {
 protected:
  PrepareJob() { write_config(); }
  void write_config(const std::string& extra = "") {
    put(config_, "[prepare]\nclass_names = [\"a\", \"b\", \"c\", \"d\"]\n" + extra +
                     "[[prepare.dataset]]\nimages = \"" + (raw_.folder / "images.gz").string() +
                     "\"\nlabels = \"" + (raw_.folder / "labels.gz").string() + "\"\noutput = \"" +
                     (raw_.folder / "out/train.h5").string() + "\"\n");
  }
  Outcome prepare(const std::string& options = "") { return run(config_.string() + " " + options); }
  bool has_output() const { return std::filesystem::exists(raw_.folder / "out/train.h5"); }

  RawFiles raw_;
  std::filesystem::path config_ = raw_.folder / "prepare.toml";
};

TEST_F(PrepareJob, WritesThenLeavesAloneThenForces) {
  Outcome first = prepare();
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, HasSubstr("50 images of 6 x 5 x 1, 4 classes"));
  EXPECT_THAT(first.output, HasSubstr("written"));
  EXPECT_EQ(ImageFile(raw_.folder / "out/train.h5", 0).size(), 50);
  Outcome second = prepare();
  EXPECT_EQ(second.code, 0);
  EXPECT_THAT(second.output, HasSubstr("is up to date"));
  EXPECT_THAT(prepare("--force").output, HasSubstr("written"));
}

TEST_F(PrepareJob, SetsKeysFromTheCommandLine) {
  std::string other = (raw_.folder / "other.h5").string();
  Outcome outcome = prepare("--set 'prepare.dataset[0].output=" + other + "'");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_TRUE(std::filesystem::exists(other));
  EXPECT_FALSE(has_output());
}

TEST_F(PrepareJob, TruncatedInputIs65AndLeavesNothing) {
  std::string stored = read_file(raw_.folder / "images.gz");
  put(raw_.folder / "images.gz", stored.substr(0, stored.size() - 20));
  auto before = raw_.folder.names();
  Outcome outcome = prepare();
  EXPECT_EQ(outcome.code, 65) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("trireme-prepare: error: "));
  EXPECT_THAT(outcome.output, HasSubstr("images.gz: the gzip stream is cut short"));
  EXPECT_FALSE(has_output());
  std::filesystem::remove(raw_.folder / "out");
  EXPECT_EQ(raw_.folder.names(), before) << "the output's folder may be there, and nothing in it";
}

TEST_F(PrepareJob, MislabelledInputIs65) {
  std::filesystem::copy(raw_.folder / "images.gz", raw_.folder / "labels.gz",
                        std::filesystem::copy_options::overwrite_existing);
  Outcome outcome = prepare();
  EXPECT_EQ(outcome.code, 65);
  EXPECT_THAT(outcome.output, HasSubstr("labels.gz: holds values of shape [50, 6, 5], not a list of labels"));
  EXPECT_FALSE(has_output());
}

TEST_F(PrepareJob, MissingInputIs66) {
  std::filesystem::remove(raw_.folder / "labels.gz");
  Outcome outcome = prepare();
  EXPECT_EQ(outcome.code, 66);
  EXPECT_THAT(outcome.output, HasSubstr("labels.gz: no such file"));
  EXPECT_THAT(outcome.output, HasSubstr("prepare.toml:3"));
}

TEST_F(PrepareJob, OutputThatCannotBeWrittenIs74) {
  put(raw_.folder / "out", "a file where the folder should be");
  Outcome outcome = prepare();
  EXPECT_EQ(outcome.code, 74);
  EXPECT_THAT(outcome.output, HasSubstr("/out"));
}

TEST_F(PrepareJob, FullDiskIs74) {
  RawFiles large(3000, 32, 32);
  TinyDisk disk(raw_.folder / "out");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  Outcome outcome = prepare("--set 'prepare.dataset[0].images=" + large.config().images +
                            "' --set 'prepare.dataset[0].labels=" + large.config().labels + "'");
  EXPECT_EQ(outcome.code, 74) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("No space left"));
  EXPECT_TRUE(std::filesystem::is_empty(raw_.folder / "out"));
}

TEST_F(PrepareJob, BadConfigsAre78) {
  struct Bad {
    std::string text, message;
  };
  const std::string whole = read_file(config_);
  const std::vector<Bad> cases{
      {"[prepare", "prepare.toml:1"},
      {"", "no [[prepare.dataset]]"},
      {"[prepare]\nkind = \"cifar\"\n", "kind = \"cifar\" is no choice here: idx"},
      {"[prepare]\nclas_names = []\n", "did you mean `class_names`?"},
      {"[prepare]\nclass_names = [1, 2]\n", "prepare.class_names: expected a text in quotes"},
      {"[prepare]\nclass_names = \"a\"\n", "a list of texts"},
      {"[[prepare.dataset]]\nimages = \"a\"\n", "the key `labels` is missing"},
      {"[[prepare.dataset]]\nimages = \"\"\n", "images is empty"},
      {"[[prepare.dataset]]\nimages = 3\n", "expected a text in quotes, found the integer 3"},
      {"[[prepare.dataset]]\nimage = \"a\"\n", "did you mean `images`?"},
      {"[prepare.dataset]\nimages = \"a\"\n", "begin each with [[prepare.dataset]]"},
      {"[train]\nepochs = 3\n", "takes [prepare] and [[prepare.dataset]] only"},
      {"[[prepare.dataset]]\nimages = \"a\"\nlabels = \"b\"\noutput = \"x/../a\"\n", "is also an input"},
      {whole + whole.substr(whole.find("[[")), "is also that of the data set at"},
  };
  for (const Bad& bad : cases) {
    put(config_, bad.text);
    Outcome outcome = prepare();
    EXPECT_EQ(outcome.code, 78) << bad.text << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr(bad.message)) << bad.text;
    EXPECT_THAT(outcome.output, HasSubstr("prepare.toml"));
  }
  EXPECT_EQ(run((raw_.folder / "none.toml").string()).code, 78);
}

TEST_F(PrepareJob, UsageIs64AndHelpIs0) {
  EXPECT_EQ(run("").code, 64);
  EXPECT_EQ(prepare("--forse").code, 64);
  EXPECT_THAT(prepare("--forse").output, HasSubstr("did you mean --force?"));
  EXPECT_EQ(run("--version").code, 0);
  EXPECT_THAT(run("--help").output, HasSubstr("--force"));
  Outcome reference = run("--help-config");
  EXPECT_EQ(reference.code, 0);
  EXPECT_THAT(reference.output, HasSubstr("[[prepare.dataset]]"));
  EXPECT_THAT(reference.output, HasSubstr("class_names = []"));
}

}  // namespace
}  // namespace trireme
