// What loading costs: samples a second that one rank's loader hands over when nobody computes, batch 64,
// images of 28 x 28. 1 / items_per_second is the loader's whole cost a sample where it has one thread.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "base/hdf5.h"
#include "data/image_dataset.h"
#include "data/loader.h"
#include "data/prepare.h"
#include "data/sampler.h"
#include "data/transform.h"

namespace {

using namespace trireme;

constexpr int64_t samples = 60'000;

// A file of random images, made for this run.
class SampleFile {
 public:
  SampleFile() : path_(std::filesystem::temp_directory_path() / "trireme-bench-loader.h5") {
    h5::Handle file = h5::create_file(path_);
    const Shape shape{samples, 28, 28, 1};
    h5::Handle images =
        h5::create_dataset(file, "/images", DType::uint8, shape,
                           {.chunk = Shape{rows_of_chunk(28 * 28), 28, 28, 1}, .fletcher32 = true});
    std::vector<uint8_t> pixels(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
    h5::write_all(images, DType::uint8, pixels.data());
    h5::write_attribute(images, "mean", std::vector<double>{0.5});
    h5::write_attribute(images, "std", std::vector<double>{0.25});
    h5::write_attribute(images, "class_names", std::vector<std::string>{"a", "b"});
    std::vector<uint8_t> labels(samples);
    h5::write_all(h5::create_dataset(file, "/labels", DType::uint8, {samples}), DType::uint8, labels.data());
    h5::close_file(std::move(file));
  }
  ~SampleFile() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

DataConfig config(bool augmented, int64_t threads) {
  DataConfig config;
  config.loader_threads = threads;
  config.transform.random_crop_padding = augmented ? 2 : 0;
  config.transform.horizontal_flip = augmented;
  return config;
}

// Steps on from epoch to epoch; the first epoch, which reads the file, is not counted.
void warm_loader(benchmark::State& state) {
  SampleFile file;
  auto dataset = open_dataset(file.path(), config(state.range(0) != 0, 1));
  Loader loader =
      Loader::training(*dataset, config(state.range(0) != 0, state.range(1)), {.end_step = int64_t{1} << 40});
  for (int64_t step = 0; step < steps_per_epoch(samples, 64); ++step) loader.next();
  int64_t handed_over = 0;
  for (auto step : state) handed_over += loader.next()->count;
  state.SetItemsProcessed(handed_over);
}
BENCHMARK(warm_loader)
    ->ArgNames({"augmented", "threads"})
    ->Args({0, 1})
    ->Args({1, 1})
    ->Args({0, 2})
    ->Args({1, 2})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// From opening the file to the first batch: what a job waits for at its start.
void first_batch(benchmark::State& state) {
  SampleFile file;
  for (auto step : state) {
    auto dataset = open_dataset(file.path(), config(false, 1));
    Loader loader = Loader::training(*dataset, config(false, 1), {.end_step = 1});
    benchmark::DoNotOptimize(loader.next());
  }
}
BENCHMARK(first_batch)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);

// The whole first epoch, with every chunk read and checked.
void cold_epoch(benchmark::State& state) {
  SampleFile file;
  for (auto step : state) {
    auto dataset = open_dataset(file.path(), config(false, 1));
    Loader loader = Loader::training(*dataset, config(false, 1), {.end_step = steps_per_epoch(samples, 64)});
    while (auto batch = loader.next()) benchmark::DoNotOptimize(batch->features);
  }
  state.SetItemsProcessed(state.iterations() * samples);
}
BENCHMARK(cold_epoch)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);

// One image through the transform, from and to the cache.
void transform(benchmark::State& state) {
  ImageTransform apply(config(state.range(0) != 0, 1).transform, {28, 28, 1}, {0.5}, {0.25});
  std::vector<uint8_t> in(28 * 28, 100);
  std::vector<float> out(in.size());
  ImageTransform::Scratch scratch;
  int64_t sample = 0;
  for (auto step : state) {
    apply.apply(in.data(), apply.draw(1, 0, ++sample), scratch, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(transform)->ArgName("augmented")->Arg(0)->Arg(1);

}  // namespace

BENCHMARK_MAIN();
