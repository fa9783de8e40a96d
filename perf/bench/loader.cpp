// What loading costs: samples a second that one rank's loader hands over when nobody computes, batch 64,
// images of 28 x 28, windows of 128 tokens, rows of 32 features. 1 / items_per_second is the loader's whole
// cost a sample where it has one thread.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
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

// One image through one family of transforms (or all), from and to the cache.
using Setting = void (*)(TransformConfig&);
const std::pair<const char*, Setting> families[] = {
    {"normalise", [](TransformConfig&) {}},
    {"padding and flip",
     [](TransformConfig& t) {
       t.random_crop_padding = 2;
       t.horizontal_flip = true;
     }},
    {"vertical flip", [](TransformConfig& t) { t.vertical_flip = true; }},
    {"crop", [](TransformConfig& t) { t.crop = 24; }},
    {"resize", [](TransformConfig& t) { t.resize = 24; }},
    {"resized crop", [](TransformConfig& t) { t.random_resized_crop = true; }},
    {"rotation", [](TransformConfig& t) { t.rotation_degrees = 15; }},
    {"grayscale", [](TransformConfig& t) { t.grayscale_probability = 1; }},
    {"erasing", [](TransformConfig& t) { t.erase_probability = 1; }},
    {"all",
     [](TransformConfig& t) {
       t.resize = 28;
       t.random_crop_padding = 2;
       t.random_resized_crop = t.horizontal_flip = t.vertical_flip = true;
       t.rotation_degrees = 15;
       t.grayscale_probability = t.erase_probability = 0.5;
     }},
};

void transform(benchmark::State& state, Setting set, int64_t side, int64_t channels) {
  TransformConfig config;
  set(config);
  if (channels != 3) config.grayscale_probability = 0;
  std::vector<double> mean(static_cast<size_t>(channels), 0.5),
      deviation(static_cast<size_t>(channels), 0.25);
  ImageTransform apply(config, {side, side, channels}, mean, deviation);
  std::vector<uint8_t> in(static_cast<size_t>(side * side * channels), 100);
  std::vector<float> out(static_cast<size_t>(apply.output_shape().elements()));
  ImageTransform::Scratch scratch;
  int64_t sample = 0;
  for (auto step : state) {
    apply.apply(in.data(), apply.draw(1, 0, ++sample), scratch, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
}

void register_transforms() {
  for (const auto& [name, set] : families) {
    for (auto [side, channels] : {std::pair<int64_t, int64_t>{28, 1}, {32, 3}}) {
      std::string title = "transform/" + std::string(name) + "/" + std::to_string(side) + "x" +
                          std::to_string(side) + "x" + std::to_string(channels);
      benchmark::RegisterBenchmark(title.c_str(), transform, set, side, channels);
    }
  }
}

// Warm batches of text (4.4 million tokens of one byte) and of a table's rows (32 features).
std::filesystem::path write_text(const std::filesystem::path& path) {
  h5::Handle file = h5::create_file(path);
  constexpr int64_t count = 4'400'000;
  h5::Handle tokens = h5::create_dataset(file, "/tokens", DType::uint8, {count},
                                         {.chunk = Shape{int64_t{128} << 10}, .fletcher32 = true});
  std::vector<uint8_t> values(count);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>((i * 2654435761u >> 25) % 128);
  h5::write_all(tokens, DType::uint8, values.data());
  h5::write_attribute(tokens, "encoding", "bytes");
  h5::write_attribute(tokens, "vocabulary", std::vector<std::string>(128, "x"));
  h5::close_file(std::move(file));
  return path;
}

std::filesystem::path write_table(const std::filesystem::path& path) {
  h5::Handle file = h5::create_file(path);
  constexpr int64_t rows = 100'000, columns = 32;
  h5::Handle features = h5::create_dataset(file, "/features", DType::float32, {rows, columns},
                                           {.chunk = Shape{1024, columns}, .fletcher32 = true});
  std::vector<float> values(rows * columns, 0.5f);
  h5::write_all(features, DType::float32, values.data());
  h5::write_attribute(features, "feature_names", std::vector<std::string>(columns, "x"));
  h5::write_attribute(features, "mean", std::vector<double>(columns, 0.5));
  h5::write_attribute(features, "std", std::vector<double>(columns, 2.0));
  h5::Handle targets = h5::create_dataset(file, "/targets", DType::float32, {rows, 1});
  h5::write_all(targets, DType::float32, values.data());
  h5::write_attribute(targets, "target_names", std::vector<std::string>{"y"});
  h5::close_file(std::move(file));
  return path;
}

void warm_kind(benchmark::State& state, std::filesystem::path (*write)(const std::filesystem::path&)) {
  std::filesystem::path path = write(std::filesystem::temp_directory_path() / "trireme-bench-loader-kind.h5");
  {
    auto dataset = open_dataset(path, config(false, 1));
    Loader loader = Loader::training(*dataset, config(false, 1), {.end_step = int64_t{1} << 40});
    for (int64_t step = 0; step < steps_per_epoch(dataset->size(), 64); ++step) loader.next();
    int64_t handed_over = 0;
    for (auto step : state) handed_over += loader.next()->count;
    state.SetItemsProcessed(handed_over);
  }
  std::filesystem::remove(path);
}
BENCHMARK_CAPTURE(warm_kind, text, write_text)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK_CAPTURE(warm_kind, table, write_table)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  register_transforms();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
