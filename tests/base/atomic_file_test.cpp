#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/tiny_disk.h"

namespace trireme {
namespace {

using test::expect_error;
using test::TemporaryFolder;

using Names = std::vector<std::string>;

TEST(AtomicFile, WritesAndReplaces) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "one");
  EXPECT_EQ(read_file(folder / "a"), "one");
  std::string large(5'000'000, 'z');
  write_file_atomically(folder / "a", large);
  EXPECT_EQ(read_file(folder / "a"), large);
  write_file_atomically(folder / "a", "");
  EXPECT_EQ(read_file(folder / "a"), "");
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(AtomicFile, MissingFolder) {
  TemporaryFolder folder;
  expect_error(ExitCode::io, {"nowhere/a", "No such file"},
               [&] { write_file_atomically(folder / "nowhere/a", "x"); });
  EXPECT_EQ(folder.names(), Names{});
}

TEST(AtomicFile, FolderThatIsAFile) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "x");
  expect_error(ExitCode::io, {"a/b"}, [&] { write_file_atomically(folder / "a/b", "x"); });
  expect_error(ExitCode::io, {"a/b", "cannot create the directory"},
               [&] { make_directories(folder / "a/b"); });
}

TEST(AtomicFile, TargetThatIsAFolder) {
  TemporaryFolder folder;
  make_directories(folder / "a/b");
  expect_error(ExitCode::io, {"/a", "rename"}, [&] { write_file_atomically(folder / "a", "x"); });
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(AtomicFile, UnwritableFolder) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  TemporaryFolder folder;
  std::filesystem::permissions(folder.path(),
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  expect_error(ExitCode::io, {"Permission denied"}, [&] { write_file_atomically(folder / "a", "x"); });
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
}

TEST(AtomicFile, ReadOnlyFileSystem) {
  TemporaryFolder folder;
  test::TinyDisk disk(folder / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  write_file_atomically(folder / "disk/a", "old");
  ASSERT_EQ(::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=1m"), 0);
  expect_error(ExitCode::io, {"disk/a", "Read-only"},
               [&] { write_file_atomically(folder / "disk/a", "new"); });
  EXPECT_EQ(read_file(folder / "disk/a"), "old");
}

TEST(AtomicFile, FullDiskKeepsTheOldFile) {
  TemporaryFolder folder;
  test::TinyDisk disk(folder / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  write_file_atomically(folder / "disk/a", "old");
  std::string large(4'000'000, 'z');
  expect_error(ExitCode::io, {"disk/a", "No space left"},
               [&] { write_file_atomically(folder / "disk/a", large); });
  EXPECT_EQ(read_file(folder / "disk/a"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "disk"), {}), 1);
}

TEST(AtomicFile, Reading) {
  TemporaryFolder folder;
  expect_error(ExitCode::no_input, {"none", "no such file"}, [&] { read_file(folder / "none"); });
  expect_error(ExitCode::io, {"cannot be read"}, [&] { read_file(folder.path()); });
}

TEST(PendingFile, IsThereOnceCommitted) {
  TemporaryFolder folder;
  {
    PendingFile pending(folder / "a");
    std::ofstream(pending.aside()) << "content";
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    pending.commit();
    EXPECT_EQ(read_file(folder / "a"), "content");
  }
  EXPECT_EQ(folder.names(), Names{"a"});
}

TEST(PendingFile, LeavesNothingWithoutCommit) {
  TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  {
    PendingFile pending(folder / "a");
    std::ofstream(pending.aside()) << "half";
  }
  { PendingFile never_written(folder / "b"); }
  EXPECT_EQ(folder.names(), Names{"a"});
  EXPECT_EQ(read_file(folder / "a"), "old");
  PendingFile missing(folder / "c");
  expect_error(ExitCode::io, {"c.partial", "cannot open"}, [&] { missing.commit(); });
}

TEST(MakeDirectories, MakesParentsAndDoesNotMindExistingOnes) {
  TemporaryFolder folder;
  make_directories(folder / "a/b/c");
  make_directories(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

}  // namespace
}  // namespace trireme
