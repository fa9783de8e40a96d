// Every folder tells what it is for, and no file grows into a god file.

#include <gtest/gtest.h>

#include "tree/tree.h"

namespace trireme::tree {
namespace {

constexpr std::size_t kMaxLines = 450;

/** Whether a folder holds any regular file, at any depth: an empty folder is not a room yet. */
bool holds_files(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) return true;
  }
  return false;
}

TEST(TreeShape, TopLevelIsTheDesigns) {
  const std::vector<std::string> files = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE"};
  for (const auto& name : files)
    EXPECT_TRUE(fs::is_regular_file(source_root() / name)) << name << " is missing";
  for (const auto& name : top_folders())
    EXPECT_TRUE(holds_files(source_root() / name)) << name << "/ is missing";
}

TEST(TreeShape, EveryRoomHasAReadme) {
  std::vector<fs::path> rooms;
  for (const auto& name : top_folders()) rooms.push_back(source_root() / name);
  for (const auto& entry : fs::directory_iterator(source_root() / "runtime")) rooms.push_back(entry.path());
  for (const auto& room : rooms) {
    if (!holds_files(room)) continue;
    EXPECT_TRUE(fs::is_regular_file(room / "README.md"))
        << fs::relative(room, source_root()).string()
        << "/README.md is missing: say what lives here, what may not, and how to add one more";
  }
}

TEST(TreeShape, FilesStaySmall) {
  const std::vector<std::string> extensions = {".h",  ".cpp",    ".cu", ".cuh", ".cmake",
                                               ".sh", ".sbatch", ".py", ""};
  for (const auto& folder : top_folders()) {
    for (const fs::path& file : files_under(folder, extensions)) {
      EXPECT_LE(lines_of(file).size(), kMaxLines)
          << fs::relative(file, source_root()).string() << ": split it, a file is about one thing";
    }
  }
}

}  // namespace
}  // namespace trireme::tree
