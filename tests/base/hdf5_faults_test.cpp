// What goes wrong is told: the file, the object, HDF5's innermost reason, the right exit code; nothing on
// stderr.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/atomic_file.h"
#include "base/hdf5.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "support/tiny_disk.h"

namespace trireme {
namespace {

using test::expect_error;
using test::TemporaryFolder;

void write_sample(const std::filesystem::path& path, int64_t rows = 64) {
  h5::Handle file = h5::create_file(path);
  std::vector<uint8_t> values(static_cast<size_t>(rows) * 100, 0xA5);
  h5::write_all(h5::create_dataset(file, "/x", DType::uint8, {rows, 100},
                                   {.chunk = Shape{16, 100}, .fletcher32 = true}),
                DType::uint8, values.data());
  h5::write_attribute(file, "text", "hello");
  h5::close_file(std::move(file));
}

void overwrite(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Hdf5Faults, FilesThatCannotBeOpened) {
  TemporaryFolder folder;
  expect_error(ExitCode::no_input, {(folder / "none.h5").string(), "no such file"},
               [&] { h5::open_file(folder / "none.h5"); });
  expect_error(ExitCode::bad_data, {"is a directory"}, [&] { h5::open_file(folder.path()); });
  overwrite(folder / "text.h5", "this is no HDF5 file");
  expect_error(ExitCode::bad_data, {"text.h5", "not an HDF5 file"},
               [&] { h5::open_file(folder / "text.h5"); });
  overwrite(folder / "empty.h5", "");
  expect_error(ExitCode::bad_data, {"empty.h5"}, [&] { h5::open_file(folder / "empty.h5"); });
  expect_error(ExitCode::bad_data, {"image", "empty"}, [&] { h5::open_file_image({}, "image"); });
  std::vector<std::byte> noise(1000, std::byte{7});
  expect_error(ExitCode::bad_data, {"some image"}, [&] { h5::open_file_image(noise, "some image"); });
}

TEST(Hdf5Faults, TruncatedAnywhereIsNoticed) {
  TemporaryFolder folder;
  write_sample(folder / "whole.h5");
  std::string whole = read_file(folder / "whole.h5");
  for (size_t part = 1; part < 8; ++part) {
    overwrite(folder / "cut.h5", whole.substr(0, whole.size() * part / 8));
    expect_error(ExitCode::bad_data, {"cut.h5", "cut short"}, [&] { h5::open_file(folder / "cut.h5"); });
  }
}

TEST(Hdf5Faults, FlippedBitIsNoticedWhereverItIs) {
  TemporaryFolder folder;
  write_sample(folder / "whole.h5");
  std::string whole = read_file(folder / "whole.h5");
  int noticed = 0, unnoticed_change = 0;
  for (size_t place = 0; place < whole.size(); place += 13) {
    std::string damaged = whole;
    damaged[place] = static_cast<char>(damaged[place] ^ 4);
    overwrite(folder / "damaged.h5", damaged);
    try {
      h5::Handle file = h5::open_file(folder / "damaged.h5");
      std::vector<uint8_t> values(6400);
      h5::read_all(h5::open_dataset(file, "/x"), DType::uint8, values.data());
      bool same =
          values == std::vector<uint8_t>(6400, 0xA5) && h5::read_string_attribute(file, "text") == "hello";
      if (!same) ++unnoticed_change;  // else unused space was hit
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data) << error.what();
      ++noticed;
    }
  }
  EXPECT_EQ(unnoticed_change, 0);
  EXPECT_GT(noticed, 400);
}

TEST(Hdf5Faults, ChecksumFailureNamesRowsFileAndReason) {
  TemporaryFolder folder;
  write_sample(folder / "x.h5");
  std::string bytes = read_file(folder / "x.h5");
  bytes[bytes.find(std::string(200, '\xA5')) + 50] ^= 1;
  overwrite(folder / "x.h5", bytes);
  h5::Handle file = h5::open_file(folder / "x.h5");
  h5::Handle dataset = h5::open_dataset(file, "/x");
  std::vector<uint8_t> values(1600);
  expect_error(ExitCode::bad_data, {"rows 0 to 15", (folder / "x.h5").string() + ":/x", "Fletcher32"},
               [&] { h5::read_rows(dataset, DType::uint8, 0, 16, values.data()); });
  h5::read_rows(dataset, DType::uint8, 16, 16, values.data());
}

TEST(Hdf5Faults, WrongUse) {
  h5::Handle file = h5::create_file_in_memory();
  h5::Handle dataset = h5::create_dataset(file, "x", DType::float32, {4});
  float values[8] = {};
  expect_error(ExitCode::bad_data, {"has no data set", "/y"}, [&] { h5::open_dataset(file, "/y"); });
  expect_error(ExitCode::io, {"creating data set x"},
               [&] { h5::create_dataset(file, "x", DType::float32, {4}); });
  expect_error(ExitCode::bad_data, {":/x", "rows 3 to 5", "[4]"},
               [&] { h5::read_rows(dataset, DType::float32, 3, 2, values); });
  expect_error(ExitCode::bad_data, {"attribute 'a'", ":/x", "missing"},
               [&] { h5::read_int_attribute(dataset, "a"); });
  h5::write_attribute(dataset, "a", "text");
  expect_error(ExitCode::bad_data, {"attribute 'a'", "a whole number"},
               [&] { h5::read_int_attribute(dataset, "a"); });
  h5::write_attribute(dataset, "a", std::vector<double>{1, 2});
  expect_error(ExitCode::bad_data, {"attribute 'a'", "must be text"},
               [&] { h5::read_string_attribute(dataset, "a"); });
  h5::write_attribute(dataset, "a", std::vector<std::string>{"one", "two"});
  expect_error(ExitCode::bad_data, {"attribute 'a'", "one text"},
               [&] { h5::read_string_attribute(dataset, "a"); });
  h5::Handle odd(H5Dcreate2(file, "odd", H5T_NATIVE_INT16, h5::Handle(H5Screate(H5S_SCALAR), "space"),
                            H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                 "odd");
  expect_error(ExitCode::bad_data, {":/odd", "element type"}, [&] { h5::dtype_of(odd); });
}

TEST(Hdf5Faults, WritingWhereNothingCanBe) {
  TemporaryFolder folder;
  expect_error(ExitCode::io, {"creating", "nowhere/x.h5", "No such file"},
               [&] { h5::create_file(folder / "nowhere/x.h5"); });
}

TEST(Hdf5Faults, FullDiskIsAnIoErrorAndNoCrash) {
  TemporaryFolder folder;
  test::TinyDisk disk(folder / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  expect_error(ExitCode::io, {"big.h5", "No space left"},
               [&] { write_sample(folder / "disk/big.h5", 1 << 16); });
  // The library must be usable afterwards.
  write_sample(folder / "fine.h5");
  h5::open_file(folder / "fine.h5");
}

TEST(Hdf5Faults, SaysNothingOnStandardErrorInAnyThread) {
  testing::internal::CaptureStderr();
  auto provoke = [] {
    h5::Handle file = h5::create_file_in_memory();
    EXPECT_THROW(h5::open_group(file, "/nowhere"), DataError);
    EXPECT_THROW(h5::Handle(H5Gopen2(file, "/nowhere", H5P_DEFAULT), "raw call"), DataError);
  };
  provoke();
  std::thread(provoke).join();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Hdf5Faults, ThreadsReadTheSameFile) {
  TemporaryFolder folder;
  write_sample(folder / "x.h5", 4096);
  h5::Handle file = h5::open_file(folder / "x.h5");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      h5::Handle dataset = h5::open_dataset(file, "/x");
      std::vector<uint8_t> rows(1600);
      for (int64_t first = 0; first < 4096; first += 16) {
        h5::read_rows(dataset, DType::uint8, first, 16, rows.data());
        ASSERT_EQ(rows, std::vector<uint8_t>(1600, 0xA5));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Hdf5Faults, ReadsWhatAnotherProcessHasLocked) {
  TemporaryFolder folder;
  write_sample(folder / "x.h5");
  // As good as a file system whose locks do not work: somebody holds them all.
  int fd = ::open((folder / "x.h5").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_NO_THROW(h5::open_file(folder / "x.h5"));
  ::close(fd);
}

}  // namespace
}  // namespace trireme
