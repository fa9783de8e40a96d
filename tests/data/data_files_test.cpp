// Files that stay open between runs.
#include "data/data_files.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "data/dataset.h"
#include "data/image_file.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

class Files : public testing::Test {
 protected:
  std::string make(const std::string& name, int64_t count) {
    std::string path = (folder_ / name).string();
    write_toy_images(path + ".new", {.count = count});
    std::filesystem::rename(path + ".new", path);
    return path;
  }
  TemporaryFolder folder_;
};

TEST_F(Files, AreTheSameUntilTheyChange) {
  DataFiles files;
  std::string path = make("a.h5", 20);
  auto first = files.open<ImageFile>(path, 1000);
  EXPECT_EQ(files.open<ImageFile>(path, 1000), first);
  EXPECT_NE(files.open<ImageFile>(path, 2000), first) << "another cache";
  EXPECT_EQ(files.open<ImageFile>(path, 1000), first);
  make("a.h5", 30);
  auto second = files.open<ImageFile>(path, 1000);
  EXPECT_EQ(second->size(), 30);
  EXPECT_EQ(first->size(), 20) << "who has the old one keeps it";
  std::filesystem::remove(path);
  EXPECT_THROW(files.open<ImageFile>(path, 1000), Error);
}

TEST_F(Files, TheOnesUsedLastStay) {
  DataFiles files(2);
  std::string a = make("a.h5", 20), b = make("b.h5", 20), c = make("c.h5", 20);
  std::weak_ptr<const ImageFile> first = files.open<ImageFile>(a, 1000);
  std::weak_ptr<const ImageFile> second = files.open<ImageFile>(b, 1000);
  files.open<ImageFile>(a, 1000);
  files.open<ImageFile>(c, 1000);
  EXPECT_FALSE(first.expired());
  EXPECT_TRUE(second.expired());
}

TEST_F(Files, DataSetsOfThemAreTheSame) {
  DataFiles files;
  DataConfig config;
  config.train = make("a.h5", 40);
  config.validation_fraction = 0.25;
  Datasets plain = open_datasets(config);
  for (int i = 0; i < 2; ++i) {
    Datasets kept = open_datasets(config, &files);
    EXPECT_EQ(kept.training->identity(), plain.training->identity());
    EXPECT_EQ(kept.validation->identity(), plain.validation->identity());
    config.validation_fraction = 0.5;
    EXPECT_NE(open_datasets(config, &files).training->identity(), plain.training->identity());
    config.validation_fraction = 0.25;
  }
}

}  // namespace
}  // namespace trireme::test
