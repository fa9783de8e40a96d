// npz: what is written is read back, also compressed, and what is wrong is named.
#include "inspect/npz.h"

#include <zip.h>

#include <gmock/gmock.h>

#include "inspect/npy.h"
#include "inspect/safetensors.h"
#include "inspect/tensor_samples.h"
#include "support/tiny_disk.h"

namespace trireme::test {
namespace {

class Npz : public testing::Test {
 protected:
  // An archive of members as they are given.
  void archive(const std::vector<std::pair<std::string, std::string>>& members, int method = ZIP_CM_STORE) {
    std::filesystem::remove(path_);
    int code = 0;
    zip_t* zip = zip_open(path_.c_str(), ZIP_CREATE, &code);
    ASSERT_NE(zip, nullptr);
    for (const auto& [name, bytes] : members) {
      zip_source_t* source = zip_source_buffer(zip, bytes.data(), bytes.size(), 0);
      zip_int64_t index = zip_file_add(zip, name.c_str(), source, 0);
      ASSERT_GE(index, 0);
      ASSERT_EQ(zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), method, 0), 0);
    }
    ASSERT_EQ(zip_close(zip), 0);
  }
  static std::string array(const std::string& text, const std::string& data = "", char version = 1) {
    std::string length =
        version == 1 ? raw(static_cast<uint16_t>(text.size())) : raw(static_cast<uint32_t>(text.size()));
    return std::string("\x93NUMPY") + version + '\0' + length + text + data;
  }
  void expect_refused(const std::string& member, std::initializer_list<std::string> parts) {
    SCOPED_TRACE(member);
    archive({{"w.npy", member}});
    expect_error(ExitCode::bad_data, parts, [&] { read_npz(path_); });
  }
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "x.npz";
};

TEST_F(Npz, ComesBackAsItWasWritten) {
  TensorSamples samples = all_types(false);
  write_npz(path_, samples.views, {{"step", "938"}, {"note", "übung"}});
  TensorFile read = read_npz(path_);
  expect_same(read, samples);
  EXPECT_EQ(read.metadata, (FileMetadata{{"step", "938"}, {"note", "übung"}}));
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"x.npz"}) << "something was left aside";
  std::string first = bytes_of(path_);
  write_npz(path_, samples.views, {{"step", "938"}, {"note", "übung"}});
  EXPECT_EQ(bytes_of(path_), first) << "equal tensors make another file";
}

TEST_F(Npz, CompressedOnesAndAllHeaderVersionsAreRead) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
  std::string data = raw(1.5f) + raw(-2.f);
  for (char version : {1, 2, 3}) {
    for (int method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
      archive({{"w.npy", array(text, data, version)}, {"v.npy", array(text, std::string(8, '\0'))}}, method);
      TensorFile file = read_npz(path_);
      ASSERT_EQ(file.tensors.size(), 2u);
      EXPECT_EQ(float_values(file.tensors[0], path_), (std::vector<float>{1.5f, -2}));
    }
  }
  // As Python 2 and other writers have it.
  archive({{"w.npy", array(R"({"shape":(1L,2L),"fortran_order":False,"descr":"<f4"})", data)}});
  EXPECT_EQ(read_npz(path_).tensors[0].shape, (Shape{1, 2}));
  archive({{"w.npy", array("{'descr':'<f4','fortran_order':False,'shape':()}", raw(7.f))}});
  EXPECT_EQ(float_values(read_npz(path_).tensors[0], path_), (std::vector<float>{7}));
}

TEST_F(Npz, FortranOrderIsTurnedAround) {
  // a[i][j][k] = 100 i + 10 j + k, the first index fastest.
  std::string data;
  for (int k = 0; k < 2; ++k) {
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 4; ++i) data += raw(static_cast<float>(100 * i + 10 * j + k));
    }
  }
  archive({{"w.npy", array("{'descr': '<f4', 'fortran_order': True, 'shape': (4, 3, 2), }", data)}});
  TensorFile file = read_npz(path_);
  std::vector<float> values = float_values(file.tensors[0], path_);
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 2; ++k) {
        EXPECT_EQ(values[static_cast<size_t>(i * 6 + j * 2 + k)], static_cast<float>(100 * i + 10 * j + k));
      }
    }
  }
}

TEST_F(Npz, BadArraysAreNamed) {
  std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  expect_refused("", {"w.npy", "no npy"});
  expect_refused("something else altogether", {"w.npy", "no npy"});
  expect_refused(array(good, raw(1.f), 9), {"version 9"});
  expect_refused(array(good), {"takes 4 bytes", "has 0"});
  expect_refused(array(good, raw(1.f) + "!"), {"takes 4 bytes", "has 5"});
  expect_refused(std::string("\x93NUMPY\x01\0\xff\xff", 10) + good, {"cut short"});
  expect_refused(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff", 12) + good, {"header would have 4294967295"});
  auto with = [&](const std::string& text) { return array(text, raw(1.f)); };
  expect_refused(with("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}"), {"'>f4'", "<f4"});
  expect_refused(with("{'descr': [('a','<f4')], 'fortran_order': False, 'shape': (1,)}"), {"records"});
  expect_refused(with("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), {"'|O'"});
  expect_refused(with("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}"), {"True or False"});
  expect_refused(with("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), {"shape"});
  expect_refused(with("{'descr': '<f4', 'fortran_order': False, 'shape': 1}"), {"'('"});
  expect_refused(with("{'descr': '<f4', 'fortran_order': False}"), {"lacks"});
  expect_refused(with("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"),
                 {"'descr' twice"});
  expect_refused(with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)"), {"'}'"});
  expect_refused(with("{'descr': '<f4"), {"no text"});
  expect_refused(with(good + "x"), {"goes on"});
  expect_refused(with("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"),
                 {"larger than any file"});
}

TEST_F(Npz, BadArchivesAreNamed) {
  std::string one = array("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", raw(1.f));
  archive({{"readme.txt", "hello"}});
  expect_error(ExitCode::bad_data, {"readme.txt", "NAME.npy"}, [&] { read_npz(path_); });
  archive({{"w.npy", one}, {".npy", one}});
  expect_error(ExitCode::bad_data, {".npy"}, [&] { read_npz(path_); });
  put_bytes(path_, "PK but no zip");
  expect_error(ExitCode::bad_data, {"no npz"}, [&] { read_npz(path_); });
  // An empty archive.
  put_bytes(path_, std::string("PK\x05\x06", 4) + std::string(18, '\0'));
  expect_error(ExitCode::bad_data, {"x.npz"}, [&] { read_npz(path_); });
  expect_error(ExitCode::no_input, {"none.npz"}, [&] { read_npz(folder_ / "none.npz"); });
}

TEST_F(Npz, DamageIsFoundByTheChecksum) {
  TensorSamples samples;
  samples.add<float>("w", {256}, std::vector<float>(256, 1.f));
  write_npz(path_, samples.views, {});
  std::string whole = bytes_of(path_);
  std::string flipped = whole;
  flipped[whole.size() / 2] ^= 1;  // in the data
  put_bytes(path_, flipped);
  expect_error(ExitCode::bad_data, {"w.npy", "damaged"}, [&] { read_npz(path_); });
  for (size_t bytes = 0; bytes < whole.size(); bytes += 7) {
    put_bytes(path_, whole.substr(0, bytes));
    SCOPED_TRACE(bytes);
    expect_error(ExitCode::bad_data, {"x.npz"}, [&] { read_npz(path_); });
  }
}

TEST_F(Npz, ASizeThatCannotBeIsNotBelieved) {
  std::string member =
      array("{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }", std::string(32, '\0'));
  archive({{"w.npy", member}}, ZIP_CM_DEFLATE);
  std::string whole = bytes_of(path_);
  // The unpacked size stands twice: 22 bytes after "PK\3\4", and in the directory 24 bytes after "PK\1\2".
  size_t central = whole.find("PK\1\2");
  ASSERT_NE(central, std::string::npos);
  whole.replace(central + 24, 4, raw<uint32_t>(0xfffffff0u));
  put_bytes(path_, whole);
  expect_error(ExitCode::bad_data, {"x.npz"}, [&] { read_npz(path_); });
  whole.replace(22, 4, raw<uint32_t>(0xfffffff0u));
  put_bytes(path_, whole);
  expect_error(ExitCode::bad_data, {"w.npy", "cannot"}, [&] { read_npz(path_); });
}

TEST_F(Npz, NothingHalfWrittenStays) {
  expect_error(ExitCode::io, {"no/x.npz"}, [&] { write_npz(folder_ / "no/x.npz", {}, {}); });
  TensorSamples twice;
  twice.add<float>("a", {1}, {1});
  twice.add<float>("a", {1}, {1});
  expect_error(ExitCode::bad_data, {"two tensors named a"}, [&] { write_npz(path_, twice.views, {}); });
  TensorSamples brain;
  brain.add<BFloat16>("b", {1}, {BFloat16(1.f)});
  expect_error(ExitCode::bad_data, {"bfloat16"}, [&] { write_npz(path_, brain.views, {}); });
  EXPECT_TRUE(folder_.names().empty());

  TinyDisk disk(folder_ / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  TensorSamples large;
  large.add<float>("w", {1 << 19}, std::vector<float>(1 << 19, 1.f));
  for (const char* name : {"disk/x.npz", "disk/x.safetensors"}) {
    expect_error(ExitCode::io, {name}, [&] { write_tensor_file(folder_ / name, large.views, {}); });
    EXPECT_TRUE(std::filesystem::is_empty(folder_ / "disk")) << name;
  }
}

}  // namespace
}  // namespace trireme::test
