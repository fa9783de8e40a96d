// safetensors: what is written is read back, and what is wrong is named.
#include "inspect/safetensors.h"

#include <gmock/gmock.h>

#include "inspect/tensor_samples.h"

namespace trireme::test {
namespace {

class Safetensors : public testing::Test {
 protected:
  // A file of this header and so many bytes of data.
  std::filesystem::path file(const std::string& header, size_t data_bytes) const {
    put_bytes(path_, raw<uint64_t>(header.size()) + header + std::string(data_bytes, '\1'));
    return path_;
  }
  void expect_refused(const std::string& header, size_t data_bytes,
                      std::initializer_list<std::string> parts) const {
    SCOPED_TRACE(header);
    expect_error(ExitCode::bad_data, parts, [&] { read_safetensors(file(header, data_bytes)); });
  }
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "x.safetensors";
};

TEST_F(Safetensors, ComesBackAsItWasWritten) {
  TensorSamples samples = all_types(true);
  write_safetensors(path_, samples.views, {{"step", "938"}, {"note", "\"übung\"\n"}});
  TensorFile read = read_safetensors(path_);
  expect_same(read, samples);
  EXPECT_EQ(read.metadata, (FileMetadata{{"step", "938"}, {"note", "\"übung\"\n"}}));
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"x.safetensors"}) << "something was left aside";
  std::string bytes = bytes_of(path_);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ(header % 8, 0u) << "data are not aligned";
  write_safetensors(path_, {}, {});
  EXPECT_TRUE(read_safetensors(path_).tensors.empty());
}

TEST_F(Safetensors, EveryTruncationIsRefused) {
  TensorSamples samples = all_types(true);
  write_safetensors(path_, samples.views, {{"a", "b"}});
  std::string whole = bytes_of(path_);
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    put_bytes(path_, whole.substr(0, bytes));
    SCOPED_TRACE(bytes);
    expect_error(ExitCode::bad_data, {"x.safetensors"}, [&] { read_safetensors(path_); });
  }
  put_bytes(path_, whole + "!");
  expect_error(ExitCode::bad_data, {"cut short or damaged"}, [&] { read_safetensors(path_); });
}

TEST_F(Safetensors, LiesAboutPlacesAreNamed) {
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, {"8 bytes", "has 4"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12, {"a", "hole"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                 R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                 12, {"tensor b", "inside"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                 R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})",
                 16, {"tensor b", "hole"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, {"a", "8 to 0"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, {"a", "takes 12 bytes"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                 {"a", "larger than any file"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4, {"a"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, {"a", "natural"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, {"a", "natural"});
}

TEST_F(Safetensors, HeadersThatAreNoneAreRefused) {
  put_bytes(path_, raw<uint64_t>(UINT64_MAX) + "{}");
  expect_error(ExitCode::bad_data, {"header would have 18446744073709551615 bytes"},
               [&] { read_safetensors(path_); });
  put_bytes(path_, raw<uint64_t>(100'000'001) + "{}");
  expect_error(ExitCode::bad_data, {"100000000 are allowed"}, [&] { read_safetensors(path_); });
  put_bytes(path_, raw<uint64_t>(3) + "{}");
  expect_error(ExitCode::bad_data, {"cut short"}, [&] { read_safetensors(path_); });
  expect_refused("", 0, {"does not begin"});
  expect_refused(" {}", 0, {"does not begin"});
  expect_refused("[]", 0, {"does not begin"});
  expect_refused("{", 0, {"no JSON"});
  expect_refused(std::string("{}  \0\xff", 6), 0, {"zero byte"});
  expect_refused("{\"\xff\":1}", 0, {"no JSON"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
                 R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                 0, {"a twice"});
  expect_refused(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, {"dtype"});
  expect_refused(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4,
                 {"tensor a", "F8_E4M3", "BF16"});
  expect_refused(R"({"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", 4, {"not as safetensors"});
  expect_refused(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, {"no list"});
  expect_refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4, {"no pair"});
  expect_refused(R"({"a":3})", 0, {"not as safetensors"});
  expect_refused(R"({"__metadata__":{"a":1}})", 0, {"not as safetensors"});
  expect_refused(std::string(100'000, '[').insert(0, "{\"a\":"), 0, {"no JSON"});
}

TEST_F(Safetensors, FaultsOfTheSystemAreIo) {
  expect_error(ExitCode::no_input, {"none.safetensors"},
               [&] { read_safetensors(folder_ / "none.safetensors"); });
  expect_error(ExitCode::io, {"no/x.safetensors"},
               [&] { write_safetensors(folder_ / "no/x.safetensors", {}, {}); });
  TensorSamples samples = all_types(true);
  write_safetensors(path_, samples.views, {});
  std::string before = bytes_of(path_);
  TensorSamples twice;
  twice.add<float>("a", {1}, {1});
  twice.add<float>("a", {1}, {1});
  expect_error(ExitCode::bad_data, {"two tensors named a"},
               [&] { write_safetensors(path_, twice.views, {}); });
  TensorSamples odd;
  odd.add<float>("\xff", {1}, {1});
  expect_error(ExitCode::bad_data, {"UTF-8"}, [&] { write_safetensors(path_, odd.views, {}); });
  EXPECT_EQ(bytes_of(path_), before) << "a failure has harmed what was there";
}

TEST(FloatValues, AreRoundedOrRefused) {
  auto values = [](const TensorSamples& samples) {
    const TensorBytes& view = samples.views.front();
    return float_values({view.name, view.shape, view.type, {view.bytes.begin(), view.bytes.end()}}, "x.npz");
  };
  auto of = [&](const auto& list) {
    TensorSamples samples;
    using T = typename std::decay_t<decltype(list)>::value_type;
    samples.add<T>("w", {static_cast<int64_t>(list.size())}, list);
    return values(samples);
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(of(std::vector<double>{0.1, -2, 1e-50}), (Floats{0.1f, -2, 0}));
  EXPECT_EQ(of(std::vector<double>{HUGE_VAL}), (Floats{HUGE_VALF}));
  EXPECT_EQ(of(std::vector<Float16>{Float16(0.5f)}), (Floats{0.5f}));
  EXPECT_EQ(of(std::vector<BFloat16>{BFloat16(-3.0f)}), (Floats{-3.0f}));
  EXPECT_EQ(of(std::vector<int64_t>{1 << 24, -5, INT64_MIN}), (Floats{16777216, -5, -0x1p63f}));
  EXPECT_EQ(of(std::vector<uint8_t>{0, 255}), (Floats{0, 255}));
  expect_error(ExitCode::bad_data, {"x.npz", "tensor w", "1e+300"}, [&] {
    of(std::vector<double>{1, 1e300});
  });
  expect_error(ExitCode::bad_data, {"16777217"}, [&] { of(std::vector<int32_t>{(1 << 24) + 1}); });
  expect_error(ExitCode::bad_data, {"9223372036854775807"}, [&] { of(std::vector<int64_t>{INT64_MAX}); });
}

}  // namespace
}  // namespace trireme::test
