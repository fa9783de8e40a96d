// Fails on an include that runs against the house's order: rooms know only what lies below them.

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tree/tree.h"

namespace trireme::tree {
namespace {

using Rooms = std::set<std::string>;

/** Who may include whom (DESIGN.md, "May include"). A room may always include itself and `base`. */
const std::map<std::string, Rooms>& allowed_arrows() {
  static const std::map<std::string, Rooms> arrows = {
      {"base", {}},
      {"comm", {}},
      {"config", {}},
      {"checkpoint", {}},
      {"telemetry", {}},
      {"graph", {}},
      {"ops", {"graph"}},
      {"passes", {"graph"}},
      {"backend", {"graph"}},
      {"exec", {"graph", "passes", "backend", "comm"}},
      {"models", {"graph", "config"}},
      {"optim", {"config"}},
      {"data", {"config"}},
      {"train",
       {"comm", "config", "graph", "ops", "passes", "backend", "exec", "models", "optim", "data",
        "checkpoint", "telemetry"}},
      {"predict", {"comm", "config", "graph", "backend", "exec", "models", "data", "train"}},
      {"inspect",
       {"comm", "config", "graph", "ops", "passes", "backend", "exec", "models", "optim", "data",
        "checkpoint", "telemetry", "train"}},
      {"sweep",
       {"comm", "config", "graph", "ops", "passes", "backend", "exec", "models", "optim", "data",
        "checkpoint", "telemetry", "train"}},
      {"jobs",
       {"comm", "config", "graph", "ops", "passes", "backend", "exec", "models", "optim", "data",
        "checkpoint", "telemetry", "train", "predict", "inspect", "sweep"}},
  };
  return arrows;
}

/** A library that only some rooms may see, by the beginning of its header's name. */
struct LibraryRule {
  std::string header_prefix;
  Rooms rooms;
};

/** MPI, TOML and device libraries stay in the rooms that exist to hide them. */
const std::vector<LibraryRule>& library_rules() {
  static const std::vector<LibraryRule> rules = {
      {"toml++/", {"config"}},
      {"mpi.h", {"comm"}},
      {"ucp/", {"comm"}},
      {"uct/", {"comm"}},
      {"ucs/", {"comm"}},
      {"nccl", {"comm"}},
      {"dnnl", {"backend"}},
      {"oneapi/dnnl", {"backend"}},
      {"cuda", {"backend", "comm"}},
      {"cublas", {"backend"}},
      {"cudnn", {"backend"}},
      {"sentencepiece", {"data"}},
      {"png.h", {"data", "predict"}},
      {"jpeglib", {"data"}},
      {"zip.h", {"inspect"}},
  };
  return rules;
}

/** One `#include` line. */
struct Include {
  fs::path file;  ///< relative to the root
  std::size_t line = 0;
  std::string header;
  bool quoted = false;

  std::string place() const { return file.string() + ":" + std::to_string(line); }
};

std::vector<Include> includes_of(const fs::path& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<Include> found;
  std::size_t number = 0;
  for (const std::string& line : lines_of(file)) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, pattern)) continue;
    found.push_back({fs::relative(file, source_root()), number, match[2], match[1] == "\""});
  }
  return found;
}

std::vector<Include> all_includes() {
  std::vector<Include> all;
  for (const std::string folder : {"runtime", "comm", "jobs"}) {
    for (const fs::path& file : files_under(folder, {".h", ".cpp", ".cu", ".cuh"})) {
      const auto found = includes_of(file);
      all.insert(all.end(), found.begin(), found.end());
    }
  }
  return all;
}

/** Where a quoted include leads, relative to the root, as the compiler looks it up; empty when nowhere. */
fs::path resolve(const Include& include) {
  const fs::path root = source_root();
  for (const fs::path& base : {root / include.file.parent_path(), root / "runtime", root}) {
    if (fs::exists(base / include.header)) {
      return fs::relative((base / include.header).lexically_normal(), root);
    }
  }
  return {};
}

TEST(TreeIncludes, FindsIncludesAtAll) {
  EXPECT_GT(all_includes().size(), 20u)
      << "the reader of #include lines finds next to nothing; is it broken?";
}

TEST(TreeIncludes, EveryRoomIsInTheTable) {
  for (const auto& entry : fs::directory_iterator(source_root() / "runtime")) {
    if (!entry.is_directory()) continue;
    const std::string room = entry.path().filename().string();
    EXPECT_TRUE(allowed_arrows().contains(room))
        << "runtime/" << room << " is a new room: add it to allowed_arrows() in tests/tree/includes.cpp";
  }
}

TEST(TreeIncludes, TheTableHasNoCycle) {
  // Take away rooms whose arrows all lead to rooms already taken away; what stays is a cycle.
  Rooms settled;
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& [room, below] : allowed_arrows()) {
      if (settled.contains(room)) continue;
      bool ready = true;
      for (const auto& other : below) ready = ready && settled.contains(other);
      if (ready) moved = settled.insert(room).second;
    }
  }
  EXPECT_EQ(settled.size(), allowed_arrows().size())
      << "allowed_arrows() lets rooms include each other in a circle";
}

TEST(TreeIncludes, QuotedIncludesAreOurs) {
  for (const Include& include : all_includes()) {
    if (!include.quoted) continue;
    EXPECT_FALSE(resolve(include).empty()) << include.place() << ": \"" << include.header
                                           << "\" is not a file of ours; libraries are included with <>";
  }
}

TEST(TreeIncludes, NoArrowRunsUpwards) {
  for (const Include& include : all_includes()) {
    if (!include.quoted) continue;
    const fs::path target = resolve(include);
    if (target.empty()) continue;  // reported by QuotedIncludesAreOurs
    const std::string from = room_of(include.file);
    const std::string to = room_of(target);
    if (from == to || to == "base") continue;
    const auto row = allowed_arrows().find(from);
    if (row == allowed_arrows().end()) continue;  // reported by EveryRoomIsInTheTable
    EXPECT_TRUE(row->second.contains(to))
        << include.place() << ": room '" << from << "' may not include \"" << include.header << "\" of '"
        << (to.empty() ? target.string() : to) << "' (see \"May include\" in tests/tree/README.md)";
  }
}

TEST(TreeIncludes, LibrariesStayInTheirRooms) {
  for (const Include& include : all_includes()) {
    for (const LibraryRule& rule : library_rules()) {
      if (include.quoted || !include.header.starts_with(rule.header_prefix)) continue;
      std::string rooms;
      for (const auto& room : rule.rooms) rooms += (rooms.empty() ? "" : ", ") + room;
      EXPECT_TRUE(rule.rooms.contains(room_of(include.file)))
          << include.place() << ": <" << include.header << "> is only for: " << rooms;
    }
  }
}

}  // namespace
}  // namespace trireme::tree
