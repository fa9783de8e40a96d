// Every way in which an IDX file can be wrong is named, together with the file.
#include "data/idx.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "data/samples.h"

namespace trireme {
namespace {

using namespace test;

// Reads all of a file that should hold one byte a value.
std::string read_whole(const std::filesystem::path& path) {
  IdxReader reader(path);
  std::string values;
  // In pieces: a damaged header may promise far more than there is memory.
  for (int64_t left = reader.shape().elements(); left > 0;) {
    std::string piece(static_cast<size_t>(std::min<int64_t>(left, 100'000)), '\0');
    reader.read({reinterpret_cast<uint8_t*>(piece.data()), piece.size()});
    values += piece;
    left -= static_cast<int64_t>(piece.size());
  }
  reader.finish();
  EXPECT_EQ(reader.stored_sha256(), sha256_of_file(path));
  return values;
}

class Idx : public testing::Test {
 protected:
  void expect_bad(const std::string& bytes, std::initializer_list<std::string> parts) {
    put(folder_ / "file", bytes);
    expect_error(ExitCode::bad_data, {(folder_ / "file").string()}, [&] { read_whole(folder_ / "file"); });
    expect_error(ExitCode::bad_data, parts, [&] { read_whole(folder_ / "file"); });
  }
  TemporaryFolder folder_;
  std::string pixels_ = random_bytes(7 * 5 * 3);
  std::string good_ = idx_header({7, 5, 3}) + pixels_;
};

TEST_F(Idx, ReadsPlainAndGzipped) {
  for (const std::string& bytes : {good_, gzip(good_)}) {
    put(folder_ / "file", bytes);
    EXPECT_EQ(IdxReader(folder_ / "file").shape(), (Shape{7, 5, 3}));
    EXPECT_EQ(read_whole(folder_ / "file"), pixels_);
  }
}

TEST_F(Idx, ReadsMoreThanABlock) {
  std::string pixels = random_bytes(3'000'000);
  std::string bytes = idx_header({300, 100, 100}) + pixels;
  for (const std::string& stored : {bytes, gzip(bytes)}) {
    put(folder_ / "file", stored);
    EXPECT_EQ(read_whole(folder_ / "file"), pixels);
  }
}

TEST_F(Idx, ReadsGzipOfSeveralMembers) {
  put(folder_ / "file", gzip(good_.substr(0, 20)) + gzip("") + gzip(good_.substr(20)));
  EXPECT_EQ(read_whole(folder_ / "file"), pixels_);
}

TEST_F(Idx, Missing) {
  expect_error(ExitCode::no_input, {"none", "no such file"}, [&] { IdxReader(folder_ / "none"); });
}
TEST_F(Idx, Directory) {
  expect_error(ExitCode::bad_data, {"is a directory"}, [&] { IdxReader{folder_.path()}; });
}
TEST_F(Idx, Empty) { expect_bad("", {"is empty"}); }
TEST_F(Idx, EmptyInsideOfGzip) { expect_bad(gzip(""), {"ends within the IDX header"}); }
TEST_F(Idx, EndsInMagic) { expect_bad(good_.substr(0, 3), {"ends within the IDX header"}); }
TEST_F(Idx, EndsInExtents) { expect_bad(good_.substr(0, 10), {"ends within the IDX header"}); }
TEST_F(Idx, WrongMagic) { expect_bad("\x89PNG1234", {"not an IDX file", "89 50 4e 47"}); }
TEST_F(Idx, FloatsAreNotRead) { expect_bad(idx_header({2, 2}, 0x0D) + std::string(16, 'x'), {"type 0d"}); }
TEST_F(Idx, NoDimension) { expect_bad(idx_header({}) + "x", {"0 dimensions"}); }
TEST_F(Idx, TooManyDimensions) { expect_bad(idx_header({1, 1, 1, 1, 1}) + "x", {"5 dimensions"}); }
TEST_F(Idx, ImpossibleShape) {
  expect_bad(idx_header({0xffffffff, 0xffffffff, 0xffffffff}), {"impossible shape", "4294967295"});
}
TEST_F(Idx, PlainCutShort) {
  expect_bad(good_.substr(0, good_.size() - 1), {"cut short", "promises 105 values [7, 5, 3]", "holds 104"});
}
TEST_F(Idx, PlainTrailingBytes) { expect_bad(good_ + "x", {"follows the last of the 105 values"}); }
TEST_F(Idx, GzippedCutShort) { expect_bad(gzip(good_.substr(0, 100)), {"cut short", "promises 105"}); }
TEST_F(Idx, GzippedTrailingBytes) { expect_bad(gzip(good_ + "xy"), {"follows the last"}); }
TEST_F(Idx, GzipStreamCutShortAnywhere) {
  std::string stored = gzip(good_);
  for (size_t length = 2; length < stored.size(); ++length) {
    expect_bad(stored.substr(0, length), {"gzip stream is cut short"});
  }
}
TEST_F(Idx, GzipChecksumWrong) {
  std::string stored = gzip(good_);
  stored[stored.size() - 8] ^= 1;  // CRC-32
  expect_bad(stored, {"gzip stream is damaged", "incorrect data check"});
}
TEST_F(Idx, GzipLengthWrong) {
  std::string stored = gzip(good_);
  stored[stored.size() - 4] ^= 1;
  expect_bad(stored, {"gzip stream is damaged", "incorrect length check"});
}
TEST_F(Idx, GzipGarbageAfterTheEnd) {
  expect_bad(gzip(good_) + "garbage", {"not gzip follows"});
  expect_bad(gzip(good_) + "g", {"not gzip follows"});
}
TEST_F(Idx, GzipFlippedBitsAreNoticedOrHarmless) {
  std::string stored = gzip(good_);
  for (size_t place = 0; place < stored.size(); ++place) {
    std::string damaged = stored;
    damaged[place] ^= 16;
    put(folder_ / "file", damaged);
    try {
      EXPECT_EQ(read_whole(folder_ / "file"), pixels_) << place;  // header fields such as the time stamp
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data) << error.what();
    }
  }
}

}  // namespace
}  // namespace trireme
