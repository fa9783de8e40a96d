#pragma once
// What the tree tests know about the source tree: which files are ours, and which room a file lives in.

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace trireme::tree {

namespace fs = std::filesystem;

/** The root of the source tree under test. */
inline fs::path source_root() { return TRIREME_SOURCE_DIR; }

/** The folders at the top that hold what we write. Dot folders, build/, runs/ and data/ are nobody's room. */
inline std::vector<std::string> top_folders() {
  return {"jobs", "runtime", "comm", "scripts", "configs", "tests", "perf"};
}

/** The lines of a text file. Throws std::runtime_error naming the file when it cannot be read. */
inline std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/** Every regular file under `folder` (relative to the root) whose extension is one of `extensions`. */
inline std::vector<fs::path> files_under(const std::string& folder,
                                         const std::vector<std::string>& extensions) {
  std::vector<fs::path> found;
  const fs::path start = source_root() / folder;
  if (!fs::exists(start)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(start)) {
    if (!entry.is_regular_file()) continue;
    const std::string extension = entry.path().extension().string();
    for (const auto& wanted : extensions) {
      if (extension == wanted) found.push_back(entry.path());
    }
  }
  return found;
}

/** The room of a file given relative to the root: `comm`, `jobs`, or the folder below `runtime/`; "" for
 * others. */
inline std::string room_of(const fs::path& relative) {
  auto part = relative.begin();
  if (part == relative.end()) return "";
  if (*part == "comm" || *part == "jobs") return part->string();
  if (*part != "runtime" || ++part == relative.end()) return "";
  return part->string();
}

}  // namespace trireme::tree
