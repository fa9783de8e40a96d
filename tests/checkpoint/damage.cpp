// Whatever happens to the newest checkpoint, the newest good one is found, and one is told what was wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/sample.h"
#include "checkpoint/writer.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::Folder;
using test::put_text;
using test::Sample;
using test::text_of;
using testing::HasSubstr;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

struct Damage {
  const char* name;
  std::function<void(const fs::path&)> apply;  // to the folder of step 20
  const char* told;                            // part of the warning; empty: silently no checkpoint
};

std::ostream& operator<<(std::ostream& stream, const Damage& damage) { return stream << damage.name; }

const std::vector<Damage>& damages() {
  static const std::vector<Damage> all{
      {"FlippedBitInData",
       [](const fs::path& at) {
         std::string text = text_of(test::state_file(at));
         text[text.size() / 2] ^= 1;
         put_text(test::state_file(at), text);
       },
       "-0.h5: is damaged: its hash is"},
      {"FlippedBitInTheFirstByte",
       [](const fs::path& at) {
         std::string text = text_of(test::state_file(at));
         text[0] ^= 64;
         put_text(test::state_file(at), text);
       },
       "is damaged"},
      {"Truncated",
       [](const fs::path& at) {
         fs::resize_file(test::state_file(at), fs::file_size(test::state_file(at)) - 1);
       },
       "cut short"},
      {"Emptied", [](const fs::path& at) { fs::resize_file(test::state_file(at), 0); }, "cut short"},
      {"LongerThanItWas",
       [](const fs::path& at) {
         fs::resize_file(test::state_file(at), fs::file_size(test::state_file(at)) + 1);
       },
       "bytes, the manifest says"},
      {"MissingState", [](const fs::path& at) { fs::remove(test::state_file(at)); }, "-0.h5: is missing"},
      {"StateIsAFolder",
       [](const fs::path& at) {
         fs::path state = test::state_file(at);
         fs::remove(state);
         fs::create_directory(state);
       },
       "-0.h5"},
      {"MissingManifest", [](const fs::path& at) { fs::remove(at / "manifest.json"); }, ""},
      {"MissingFolder", [](const fs::path& at) { fs::remove_all(at); }, ""},
      {"ManifestWithWrongHash",
       [](const fs::path& at) {
         std::string text = text_of(at / "manifest.json");
         size_t digit = text.find("xxh3_128\": \"") + 14;
         text[digit] = text[digit] == '0' ? '1' : '0';
         test::put_manifest(at, text);
       },
       "-0.h5: is damaged"},
      {"ManifestWithAFlippedBit",
       [](const fs::path& at) {
         put_text(at / "manifest.json",
                  replaced(text_of(at / "manifest.json"), "\"step\": 20", "\"step\": 30"));
       },
       "its own hash does not match"},
      {"ManifestWithABlankForABreak",
       [](const fs::path& at) {
         put_text(at / "manifest.json", replaced(text_of(at / "manifest.json"), "{\n", "{ "));
       },
       "its own hash does not match"},
      {"ManifestWithWrongSize",
       [](const fs::path& at) {
         test::put_manifest(at, replaced(text_of(at / "manifest.json"), "\"bytes\": ", "\"bytes\": 1"));
       },
       "the manifest says"},
      {"ManifestWithWrongStep",
       [](const fs::path& at) {
         test::put_manifest(at, replaced(text_of(at / "manifest.json"), "\"step\": 20", "\"step\": 21"));
       },
       "is of step 20"},
      {"ManifestWithAFlippedVersion",
       [](const fs::path& at) {
         put_text(at / "manifest.json",
                  replaced(text_of(at / "manifest.json"), "\"version\": 2", "\"version\": 3"));
       },
       "its own hash does not match"},
      {"ManifestOfSomethingElse",
       [](const fs::path& at) { put_text(at / "manifest.json", "{\"format\": \"cake\"}"); },
       "is not the manifest of a checkpoint"},
      {"ManifestPointsElsewhere",
       [](const fs::path& at) {
         test::put_manifest(at,
                            replaced(text_of(at / "manifest.json"), "state-", "../step-0000000010/state-"));
       },
       "none of the checkpoint's own"},
      {"ManifestNamesNoFile",
       [](const fs::path& at) {
         put_text(at / "manifest.json",
                  R"({"format":"trireme-checkpoint","version":1,"step":20,"epoch":2,"files":[]})");
       },
       "names no file"},
      {"EmptyManifest", [](const fs::path& at) { put_text(at / "manifest.json", ""); }, "torn"},
      {"FolderRenamed", [](const fs::path& at) { fs::rename(at, at.parent_path() / "step-0000000099"); },
       "the folder's name says step 99"},
  };
  return all;
}

class Damaged : public testing::TestWithParam<Damage> {};
INSTANTIATE_TEST_SUITE_P(All, Damaged, testing::ValuesIn(damages()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Damaged, FallsBackToTheNewestGoodOne) {
  Folder folder;
  Sample older(10);
  save_checkpoint(folder.path(), older.content, {3});
  fs::path newest = save_checkpoint(folder.path(), Sample(20).content, {3});
  GetParam().apply(newest);
  std::vector<std::string> told;
  auto found = open_newest_checkpoint(folder.path(), [&](const std::string& text) { told.push_back(text); });
  ASSERT_TRUE(found);
  test::expect_equal(*found, older);
  if (std::string(GetParam().told).empty()) {
    EXPECT_TRUE(told.empty());
  } else {
    ASSERT_EQ(told.size(), 1u);
    EXPECT_THAT(told[0], HasSubstr(GetParam().told));
    EXPECT_THAT(told[0], HasSubstr("skipping the checkpoint of step "));
  }

  // And the next save clears up: the run goes on from 10 and writes 20 anew.
  Sample again(20);
  save_checkpoint(folder.path(), again.content, {3});
  auto now = open_newest_checkpoint(folder.path(), [](const std::string& text) { FAIL() << text; });
  ASSERT_TRUE(now);
  test::expect_equal(*now, again);
}

TEST(Damaged, ManifestTornAtEveryByte) {
  Folder folder;
  save_checkpoint(folder.path(), Sample(10).content, {3});
  fs::path newest = save_checkpoint(folder.path(), Sample(20).content, {3});
  std::string whole = text_of(newest / "manifest.json");
  for (size_t cut = 0; cut + 2 < whole.size(); ++cut) {  // the last two bytes are "}\n"
    put_text(newest / "manifest.json", whole.substr(0, cut));
    int warnings = 0;
    auto found = open_newest_checkpoint(folder.path(), [&](const std::string&) { ++warnings; });
    ASSERT_TRUE(found);
    ASSERT_EQ(found->run().step, 10) << "cut at " << cut;
    ASSERT_EQ(warnings, 1);
  }
}

TEST(Damaged, NoneAtAllIsAFreshStart) {
  Folder folder;
  auto warn = [](const std::string& text) { FAIL() << text; };
  EXPECT_FALSE(open_newest_checkpoint(folder.path() / "none", warn));
  EXPECT_FALSE(open_newest_checkpoint(folder.path(), warn));
  fs::create_directory(folder.path() / "step-0000000003");  // a writer killed at once
  put_text(folder.path() / "notes.txt", "mine");
  EXPECT_FALSE(open_newest_checkpoint(folder.path(), warn));
}

// To pass it over would be to save over what a newer build has done.
TEST(Damaged, ANewerFormatIsRefusedByName) {
  Folder folder;
  save_checkpoint(folder.path(), Sample(10).content, {3});
  fs::path newest = save_checkpoint(folder.path(), Sample(20).content, {3});
  test::put_manifest(newest, replaced(text_of(newest / "manifest.json"), "\"version\": 2", "\"version\": 3"));
  auto warn = [](const std::string& text) { ADD_FAILURE() << text; };
  for (auto&& open :
       std::vector<std::function<void()>>{[&] { open_newest_checkpoint(folder.path(), warn); },
                                          [&] { load_newest_checkpoint(folder.path(), {}, warn); }}) {
    try {
      open();
      ADD_FAILURE() << "was passed over";
    } catch (const NewerFormatError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("format version 3"));
    }
  }
}

TEST(Damaged, AllBadIsAnErrorAndNoSilentFreshStart) {
  Folder folder;
  for (int64_t step : {10, 20}) {
    fs::path at = save_checkpoint(folder.path(), Sample(step).content, {3});
    fs::resize_file(test::state_file(at), 100);
  }
  int warnings = 0;
  try {
    open_newest_checkpoint(folder.path(), [&](const std::string&) { ++warnings; });
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("none of the 2 checkpoints"));
    EXPECT_THAT(error.what(), HasSubstr("--fresh"));
  }
  EXPECT_EQ(warnings, 2);
}

}  // namespace
}  // namespace trireme
