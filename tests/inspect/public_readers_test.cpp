// Files for and from other programs: NumPy and the public safetensors, where a Python on this machine has
// them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "inspect/tensor_file.h"
#include "inspect/tensor_samples.h"
#include "support/run_command.h"

namespace trireme::test {
namespace {

class PublicReaders : public testing::Test {
 protected:
  void SetUp() override {
    std::string tried;
    for (const char* candidate : {"/opt/peers/torch/bin/python", "python3"}) {
      std::string python = candidate;
      CommandResult answer = run_command(python + " -c 'import numpy, safetensors.numpy'", 60);
      if (answer.code == 0) {
        python_ = python;
        return;
      }
      tried += (tried.empty() ? "" : ", ") + python;
    }
    GTEST_SKIP() << "no Python with numpy and safetensors here (tried " << tried << ")";
  }
  // Runs the lines with `f` the file's path; they leave with an error where something is not as it should be.
  void python(const std::string& lines, const std::filesystem::path& file) const {
    put_bytes(folder_ / "check.py",
              "import sys, numpy as np\nimport safetensors.numpy as st\nf = sys.argv[1]\n" + lines);
    CommandResult result =
        run_command(python_ + " " + (folder_ / "check.py").string() + " " + file.string(), 60);
    EXPECT_EQ(result.code, 0) << result.output;
  }
  // What all_types() holds, as Python says it.
  static constexpr const char* expected = R"(
import struct
want = {
  'conv1.weight': np.array([[1.5, -2, 3], [4, 5, 1e-42]], '<f4'),
  'block/überlinear.weight': np.array([0.1, -1e300], '<f8'),
  'half': np.array([1, -0.333, 65504], '<f2'),
  'counts': np.array([[-7, 2**31 - 1]], '<i4'),
  'large': np.array(-2**63, '<i8'),
  'bytes': np.array([0, 128, 255], 'u1'),
  'words': np.array([0, 65535], '<u2'),
  'nothing': np.zeros((4, 0), '<f4'),
}
def compare(got):
  assert set(got) == set(want), sorted(got)
  for name in want:
    assert got[name].dtype == want[name].dtype and got[name].shape == want[name].shape, name
    assert got[name].tobytes() == want[name].tobytes(), name
)";
  std::string python_;
  TemporaryFolder folder_;
};

TEST_F(PublicReaders, ReadWhatWeWrite) {
  TensorSamples samples = all_types(false);
  FileMetadata metadata{{"step", "938"}, {"note", "übung"}};
  write_tensor_file(folder_ / "x.safetensors", samples.views, metadata);
  write_tensor_file(folder_ / "x.npz", samples.views, metadata);
  python(std::string(expected) + R"(
compare(st.load_file(f))
from safetensors import safe_open
with safe_open(f, 'np') as opened:
  assert opened.metadata() == {'step': '938', 'note': 'übung'}, opened.metadata()
)",
         folder_ / "x.safetensors");
  python(std::string(expected) + "compare(dict(np.load(f, allow_pickle=False)))\n", folder_ / "x.npz");
  // bfloat16, which NumPy has not: by its bytes.
  TensorSamples brain;
  brain.add<BFloat16>("b", {2}, {BFloat16(1.f), BFloat16(-2.f)});
  write_tensor_file(folder_ / "b.safetensors", brain.views, {});
  python(R"(
import safetensors
(name, tensor), = safetensors.deserialize(open(f, 'rb').read())
assert name == 'b' and tensor['dtype'] == 'BF16' and tensor['shape'] == [2], tensor
assert bytes(tensor['data']) == b'\x80\x3f\x00\xc0', tensor
)",
         folder_ / "b.safetensors");
}

TEST_F(PublicReaders, AreReadByUs) {
  TensorSamples samples = all_types(false);
  std::string writes = expected;
  python(writes + "st.save_file(want, f, metadata={'step': '938'})\n", folder_ / "x.safetensors");
  TensorFile file = read_tensor_file(folder_ / "x.safetensors");
  expect_same(file, samples);
  EXPECT_EQ(file.metadata, (FileMetadata{{"step", "938"}}));
  for (const char* saver : {"savez", "savez_compressed"}) {
    SCOPED_TRACE(saver);
    python(writes + "np." + saver + "(f, **want)\n", folder_ / "x.npz");
    expect_same(read_tensor_file(folder_ / "x.npz"), samples);
    python(writes + "np." + saver +
               "(f, **{n: np.asfortranarray(a) if a.ndim else a for n, a in want.items()})\n",
           folder_ / "x.npz");
    expect_same(read_tensor_file(folder_ / "x.npz"), samples);
  }
  // As writers to pipes leave it: sizes and checksums behind the data.
  python(writes + R"(
class Pipe:
  def __init__(self, file): self.file = file
  def write(self, data): return self.file.write(data)
  def flush(self): self.file.flush()
import zipfile
with open(f, 'wb') as file, zipfile.ZipFile(Pipe(file), 'w', zipfile.ZIP_DEFLATED) as archive:
  for name, array in want.items():
    with archive.open(name + '.npy', 'w') as member: np.lib.format.write_array(member, array)
)",
         folder_ / "x.npz");
  expect_same(read_tensor_file(folder_ / "x.npz"), samples);
  // Objects (pickles), other byte orders and strings are named, not misread.
  python("np.savez(f, odd=np.array([1, 2], '>f4'))\n", folder_ / "x.npz");
  expect_error(ExitCode::bad_data, {"odd.npy", ">f4"}, [&] { read_tensor_file(folder_ / "x.npz"); });
  python("np.savez(f, odd=np.array([{}], object))\n", folder_ / "x.npz");
  expect_error(ExitCode::bad_data, {"odd.npy", "|O"}, [&] { read_tensor_file(folder_ / "x.npz"); });
}

}  // namespace
}  // namespace trireme::test
