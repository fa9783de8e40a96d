// Batches are the same for any number of threads, ranks together make the global batch, faults come out,
// nothing hangs.
#include "data/loader.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <thread>

#include "data/image_dataset.h"
#include "data/sampler.h"
#include "data/samples.h"

namespace trireme {
namespace {

using namespace test;

struct Copy {
  std::vector<float> images;
  std::vector<int32_t> labels;
  Batch batch;
};

Copy copy_of(const Batch& batch, int64_t values) {
  const auto* images = static_cast<const float*>(batch.features);
  const auto* labels = static_cast<const int32_t*>(batch.targets);
  return {{images, images + batch.count * values}, {labels, labels + batch.count}, batch};
}

std::vector<Copy> drain(Loader loader, int64_t values) {
  std::vector<Copy> all;
  while (auto batch = loader.next()) all.push_back(copy_of(*batch, values));
  return all;
}

DataConfig augmenting(int64_t batch, int64_t threads, int64_t ahead = 4) {
  DataConfig config;
  config.batch = batch;
  config.validation_batch = batch;
  config.loader_threads = threads;
  config.prefetch_batches = ahead;
  config.transform.random_crop_padding = 2;
  config.transform.horizontal_flip = true;
  return config;
}

class LoaderTest : public testing::Test {
 protected:
  RawFiles raw_{107, 6, 5, 1, 4};
  std::shared_ptr<const ImageFile> file_ = std::make_shared<ImageFile>(raw_.prepared(), 1 << 20);
  ImageDataset dataset_{file_, augmenting(16, 1), *file_};
  int64_t values_ = 30;

  std::vector<Copy> train(const DataConfig& config, const LoaderOptions& options) {
    return drain(Loader::training(dataset_, config, options), values_);
  }
};

TEST_F(LoaderTest, BatchesHoldTheSamplesOfTheirSteps) {
  auto config = augmenting(16, 2);
  LoaderOptions options{.seed = 9, .end_step = 20};  // nearly three epochs of seven steps
  auto all = train(config, options);
  ASSERT_EQ(all.size(), 20u);
  ImageTransform transform(config.transform, file_->image_shape(), file_->mean(),
                           file_->standard_deviation());
  ImageTransform::Scratch scratch;
  for (int64_t step = 0; step < 20; ++step) {
    const Copy& got = all[static_cast<size_t>(step)];
    auto position = position_of(step, 7);
    EXPECT_EQ(got.batch.step, step);
    EXPECT_EQ(got.batch.epoch, position.epoch);
    EXPECT_EQ(got.batch.first, 0);
    int64_t count = position.step == 6 ? 11 : 16;
    ASSERT_EQ(got.batch.count, count);
    EXPECT_EQ(got.batch.global_count, count);
    EXPECT_GE(got.batch.stall_seconds, 0.0);
    EpochOrder order(107, 9, position.epoch, true);
    for (int64_t i = 0; i < count; ++i) {
      int64_t sample = order[position.step * 16 + i];
      EXPECT_EQ(got.labels[static_cast<size_t>(i)], file_->labels()[static_cast<size_t>(sample)]);
      std::vector<float> image(30);
      transform.apply(file_->image(sample).pixels, transform.draw(9, position.epoch, sample), scratch,
                      image.data());
      EXPECT_TRUE(std::equal(image.begin(), image.end(), got.images.begin() + i * 30));
    }
  }
}

TEST_F(LoaderTest, AnyNumberOfThreadsAndSlotsGivesTheSame) {
  LoaderOptions options{.seed = 2, .end_step = 40};
  auto expected = train(augmenting(16, 1, 1), options);
  for (int64_t threads : {1, 2, 4, 7}) {
    for (int64_t ahead : {1, 2, 4, 50}) {
      auto got = train(augmenting(16, threads, ahead), options);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].images, expected[i].images);
        EXPECT_EQ(got[i].labels, expected[i].labels);
        EXPECT_EQ(got[i].batch.step, expected[i].batch.step);
      }
    }
  }
}

TEST_F(LoaderTest, RanksTogetherHoldTheGlobalBatch) {
  auto config = augmenting(16, 2);
  auto whole = train(config, {.seed = 4, .end_step = 14});
  for (int64_t ranks : {2, 3, 12, 20}) {
    std::vector<Copy> together(14);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      auto part = train(config, {.seed = 4, .rank = rank, .ranks = ranks, .end_step = 14});
      ASSERT_EQ(part.size(), 14u);
      for (size_t step = 0; step < 14; ++step) {
        EXPECT_EQ(part[step].batch.global_count, whole[step].batch.count);
        EXPECT_EQ(part[step].batch.first, static_cast<int64_t>(together[step].labels.size()));
        together[step].images.insert(together[step].images.end(), part[step].images.begin(),
                                     part[step].images.end());
        together[step].labels.insert(together[step].labels.end(), part[step].labels.begin(),
                                     part[step].labels.end());
      }
    }
    for (size_t step = 0; step < 14; ++step) {
      EXPECT_EQ(together[step].images, whole[step].images);
      EXPECT_EQ(together[step].labels, whole[step].labels);
    }
  }
}

TEST_F(LoaderTest, ResumesAnywhere) {
  auto config = augmenting(16, 2);
  auto whole = train(config, {.seed = 4, .end_step = 30});
  for (int64_t first : {1, 6, 7, 13, 29, 30}) {
    auto rest = train(config, {.seed = 4, .first_step = first, .end_step = 30});
    ASSERT_EQ(rest.size(), static_cast<size_t>(30 - first));
    for (size_t i = 0; i < rest.size(); ++i) {
      EXPECT_EQ(rest[i].batch.step, first + static_cast<int64_t>(i));
      EXPECT_EQ(rest[i].images, whole[static_cast<size_t>(first) + i].images);
    }
  }
}

TEST_F(LoaderTest, SequentialPassSeesEachSampleOnceInOrder) {
  auto config = augmenting(16, 2);
  for (int64_t ranks : {1, 2, 3, 110}) {
    std::vector<int32_t> labels;
    std::vector<int64_t> global_counts;
    size_t batches = 0;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      auto part = drain(Loader::sequential(dataset_, config, {.rank = rank, .ranks = ranks}), values_);
      if (rank == 0) batches = part.size();
      EXPECT_EQ(part.size(), batches) << "ranks meet after each batch";
      global_counts.resize(batches);
      for (size_t i = 0; i < part.size(); ++i) {
        if (part[i].batch.count > 0) {
          EXPECT_EQ(part[i].batch.first, static_cast<int64_t>(labels.size()));
        }
        labels.insert(labels.end(), part[i].labels.begin(), part[i].labels.end());
        if (rank == 0) global_counts[i] = part[i].batch.global_count;
        EXPECT_EQ(part[i].batch.global_count, global_counts[i]);
      }
    }
    EXPECT_EQ(labels, std::vector<int32_t>(file_->labels().begin(), file_->labels().end()));
    int64_t total = 0;
    for (int64_t count : global_counts) total += count;
    EXPECT_EQ(total, 107);
  }
}

TEST_F(LoaderTest, SequentialPassIsNotAugmented) {
  auto all = drain(Loader::sequential(dataset_, augmenting(107, 1), {}), values_);
  ASSERT_EQ(all.size(), 1u);
  for (size_t i = 0; i < all[0].images.size(); ++i) {
    double pixel = static_cast<unsigned char>(raw_.pixels[i]) / 255.0;
    ASSERT_NEAR(all[0].images[i], (pixel - file_->mean()[0]) / file_->standard_deviation()[0], 1e-5);
  }
}

TEST_F(LoaderTest, BatchLargerThanTheDataset) {
  auto all = train(augmenting(1000, 1), {.end_step = 3});
  ASSERT_EQ(all.size(), 3u);
  for (const Copy& copy : all) EXPECT_EQ(copy.batch.count, 107);
}

TEST_F(LoaderTest, BatchStaysUntilTheNext) {
  Loader loader = Loader::training(dataset_, augmenting(16, 4, 1), {.end_step = 50});
  while (auto batch = loader.next()) {
    Copy now = copy_of(*batch, values_);
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    Copy later = copy_of(*batch, values_);
    ASSERT_EQ(now.images, later.images);
    ASSERT_EQ(now.labels, later.labels);
  }
  EXPECT_EQ(loader.next(), std::nullopt) << "asking again after the end is allowed";
}

TEST_F(LoaderTest, NothingToDo) {
  Loader loader = Loader::training(dataset_, augmenting(16, 2), {.first_step = 5, .end_step = 5});
  EXPECT_EQ(loader.batches(), 0);
  EXPECT_EQ(loader.next(), std::nullopt);
}

TEST_F(LoaderTest, DestructionNeverHangs) {
  for (int round = 0; round < 200; ++round) {
    Loader loader =
        Loader::training(dataset_, augmenting(16, 1 + round % 4, 1 + round % 3), {.end_step = 1'000'000});
    for (int i = 0; i < round % 5; ++i) loader.next();
  }
}

// Any step in any order, as soon as it is asked for, with the bits that the training pass has.
TEST_F(LoaderTest, OnDemandGivesTheTrainingBatches) {
  for (int64_t pieces : {1, 3, 20}) {
    std::vector<std::vector<Copy>> expected;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      expected.push_back(
          train(augmenting(16, 1), {.seed = 4, .rank = piece, .ranks = pieces, .end_step = 16}));
    }
    for (int64_t threads : {1, 3}) {
      Loader loader = Loader::on_demand(dataset_, augmenting(16, threads, 2), {.seed = 4, .ranks = pieces});
      EXPECT_EQ(loader.next(), std::nullopt);
      std::vector<std::pair<int64_t, int64_t>> asked;
      for (int64_t i = 0; i < 40; ++i) asked.emplace_back(i * 7 % 16, i * 5 % pieces);
      size_t handed_out = 0;
      for (size_t i = 0; i < asked.size(); ++i) {
        loader.request(asked[i].first, asked[i].second, pieces);
        if (i % 4 == 1) continue;  // several wait
        for (; handed_out <= i; ++handed_out) {
          auto [step, piece] = asked[handed_out];
          auto batch = loader.next();
          ASSERT_TRUE(batch);
          const Copy& want = expected[static_cast<size_t>(piece)][static_cast<size_t>(step)];
          Copy got = copy_of(*batch, values_);
          EXPECT_EQ(got.images, want.images);
          EXPECT_EQ(got.labels, want.labels);
          EXPECT_EQ(got.batch.step, step);
          EXPECT_EQ(got.batch.epoch, want.batch.epoch);
          EXPECT_EQ(got.batch.first, want.batch.first);
          EXPECT_EQ(got.batch.global_count, want.batch.global_count);
        }
      }
      EXPECT_EQ(loader.batches(), 40);
      EXPECT_EQ(loader.next(), std::nullopt);
    }
  }
}

TEST_F(LoaderTest, OnDemandRefusesWhatIsNotThere) {
  Loader loader = Loader::on_demand(dataset_, augmenting(16, 2), {.ranks = 4});
  for (auto [step, piece, pieces] : {std::array<int64_t, 3>{-1, 0, 4}, {0, -1, 4}, {0, 4, 4}}) {
    expect_error(ExitCode::bad_data, {"no such piece"}, [&] { loader.request(step, piece, pieces); });
  }
  expect_error(ExitCode::bad_data, {"larger than was announced"}, [&] { loader.request(0, 0, 3); });
  loader.request(0, 7, 8);
  EXPECT_EQ(loader.next()->count, 2);
  Loader training = Loader::training(dataset_, augmenting(16, 2), {.end_step = 2});
  expect_error(ExitCode::bad_data, {"order of its own"}, [&] { training.request(0, 0, 1); });
}

TEST_F(LoaderTest, RequestsMayBeDropped) {
  for (int round = 0; round < 200; ++round) {
    Loader loader = Loader::on_demand(dataset_, augmenting(16, 1 + round % 4, 1 + round % 3), {});
    for (int i = 0; i < round % 9; ++i) loader.request(i, 0, 1);
    for (int i = 0; i < round % 5; ++i) loader.next();
  }
}

TEST(LoaderMemory, IsBoundedByTheRing) {
  RawFiles raw(100, 8, 8);
  auto file = std::make_shared<ImageFile>(raw.prepared(), 1 << 20);
  ImageDataset dataset(file, augmenting(10, 3, 2), *file);
  Loader loader = Loader::training(dataset, augmenting(10, 3, 2), {.end_step = 100});
  EXPECT_EQ(loader.batch_capacity(), 10);
  std::vector<const void*> places;
  while (auto batch = loader.next()) places.push_back(batch->features);
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  EXPECT_EQ(places.size(), 3u) << "two ahead and the one in use";
}

TEST(LoaderFaults, ChecksumFailureComesOutAtItsBatch) {
  RawFiles raw(2000, 16, 16);  // chunks of 512
  auto path = raw.prepared();
  std::string bytes = read_file(path);
  bytes[bytes.find(raw.pixels.substr(600 * 256, 256))] ^= 2;
  put(path, bytes);
  auto file = std::make_shared<ImageFile>(path, 1 << 20);
  ImageDataset dataset(file, {}, *file);
  for (int64_t threads : {1, 4}) {
    auto config = augmenting(100, threads);
    config.shuffle = false;
    Loader loader = Loader::training(dataset, config, {.end_step = 20});
    for (int i = 0; i < 5; ++i) EXPECT_EQ(loader.next()->step, i);
    for (int again = 0; again < 2; ++again) {
      expect_error(ExitCode::bad_data, {path.string(), "rows 512 to 1023", "Fletcher32"},
                   [&] { loader.next(); });
    }
  }
}

}  // namespace
}  // namespace trireme
